//! The HTTP server: a thread of its own that takes from the [`Board`] and is never waited for.

mod connections;
mod listen;
mod routes;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime, sync::watch};

use super::Board;
use connections::{Connections, Limits};
use listen::Socket;
pub use listen::{Address, ListenError};

/// How long answers that are under way may take when the server ends.
const FAREWELL: Duration = Duration::from_millis(300);

/// A running server. It listens from the first moment, and answers from [`Server::open`] on: what connects before waits.
pub struct Server {
    thread: JoinHandle<()>,
    state: watch::Sender<State>,
    addresses: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open,
    Ending,
}

impl Server {
    /// Listens at every address. `prepare` runs on the server's thread before anything else.
    pub fn start(
        addresses: &[Address],
        board: Arc<Board>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> Result<Self, StartError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let sockets = {
            // Sockets belong to a runtime from their begin on.
            let _inside = runtime.enter();
            addresses.iter().map(Socket::bind).collect::<Result<Vec<_>, _>>()?
        };
        let addresses = sockets.iter().map(Socket::url).collect();
        let (state, changes) = watch::channel(State::Closed);
        let (ready, prepared) = mpsc::channel();
        let thread = thread::Builder::new().name("http".into()).spawn(move || {
            prepare();
            let _ = ready.send(());
            runtime.block_on(serve(sockets, &board, changes));
            // What still hangs is cut off.
            runtime.shutdown_background();
        })?;
        let _ = prepared.recv();
        Ok(Self { thread, state, addresses })
    }

    /// Begins to answer.
    pub fn open(&self) {
        self.state.send_replace(State::Open);
    }

    /// Where it listens, as URLs.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Whether it still runs; it ends by itself only when it breaks.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends it; takes well under a second, whatever clients do.
    pub fn end(self) {
        self.state.send_replace(State::Ending);
        let _ = self.thread.join();
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

async fn serve(sockets: Vec<Socket>, board: &Arc<Board>, mut changes: watch::Receiver<State>) {
    // An error means that nobody is left to change it.
    if changes.wait_for(|state| *state != State::Closed).await.is_err() {
        return;
    }
    let connections = Connections::new(routes::router(Arc::clone(board)), Limits::default());
    let accepting: Vec<_> =
        sockets.into_iter().map(|socket| tokio::spawn(socket.accept(connections.clone()))).collect();
    let _ = changes.wait_for(|state| *state == State::Ending).await;
    for task in accepting {
        task.abort();
    }
    connections.finish(FAREWELL).await;
}
