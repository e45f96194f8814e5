//! Connections, a bounded number of them, each with a bounded life.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    task::AbortHandle,
    time,
};

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many connections at a time. One more takes the place of the oldest: whoever hangs makes room for whoever asks.
    pub(super) connections: usize,
    /// The request must have come by then.
    pub(super) head: Duration,
    /// The answer must have been taken by then.
    pub(super) whole: Duration,
    /// Bytes of the request line and all headers.
    pub(super) head_bytes: usize,
    /// Headers.
    pub(super) headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(5),
            whole: Duration::from_secs(30),
            head_bytes: 16 << 10,
            headers: 64,
        }
    }
}

/// All connections.
#[derive(Clone)]
pub(super) struct Connections {
    router: Router,
    limits: Limits,
    open: Arc<Open>,
}

/// Those that are open, by their age.
#[derive(Default)]
struct Open {
    state: Mutex<Handles>,
    /// The last has gone.
    none: Notify,
}

#[derive(Default)]
struct Handles {
    next: u64,
    /// `None`: not yet told.
    by_number: BTreeMap<u64, Option<AbortHandle>>,
}

impl Connections {
    pub(super) fn new(router: Router, limits: Limits) -> Self {
        Self { router, limits, open: Arc::default() }
    }

    /// Serves one more. Each connection carries one request: a scraper loses nothing by it, and nobody can sit on an idle one.
    pub(super) fn add(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let limits = self.limits;
        let service = TowerToHyperService::new(self.router.clone());
        let mut http = http1::Builder::new();
        http.keep_alive(false)
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_header_size(limits.head_bytes)
            .max_headers(limits.headers)
            // One read more than the head may have, so that too large a head is told and not waited for.
            .max_buf_size(2 * limits.head_bytes);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let place = self.open.take(limits.connections);
        let number = place.number;
        let task = tokio::spawn(async move {
            let _place = place;
            // Whatever a client does wrong concerns the client alone.
            let _ = time::timeout(limits.whole, connection).await;
        });
        self.open.tell(number, task.abort_handle());
    }

    /// Waits until all are gone, but no longer than this.
    pub(super) async fn finish(&self, limit: Duration) {
        let gone = async {
            while !self.open.is_none() {
                self.open.none.notified().await;
            }
        };
        let _ = time::timeout(limit, gone).await;
    }
}

impl Open {
    fn state(&self) -> std::sync::MutexGuard<'_, Handles> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; the oldest loses its own when there are too many.
    fn take(self: &Arc<Self>, limit: usize) -> Place {
        let mut state = self.state();
        while state.by_number.len() >= limit {
            let Some((_, oldest)) = state.by_number.pop_first() else { break };
            if let Some(oldest) = oldest {
                oldest.abort();
            }
        }
        let number = state.next;
        state.next += 1;
        state.by_number.insert(number, None);
        Place { open: Arc::clone(self), number }
    }

    /// Says how to end a connection, unless it has gone already.
    fn tell(&self, number: u64, handle: AbortHandle) {
        if let Some(place) = self.state().by_number.get_mut(&number) {
            *place = Some(handle);
        }
    }

    fn is_none(&self) -> bool {
        self.state().by_number.is_empty()
    }
}

/// The place of a connection, given back when it goes.
struct Place {
    open: Arc<Open>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.open.state();
        state.by_number.remove(&self.number);
        if state.by_number.is_empty() {
            self.open.none.notify_one();
        }
    }
}
