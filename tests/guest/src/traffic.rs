//! Ways of using a stream. Data carries a pattern, and what an echo returns is compared with it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::vsock::{Listener, Stream};

/// What an echo sends before it waits for the answer: less than the smallest ring holds, so that neither end blocks the
/// other.
pub const ECHO_CHUNK: usize = 16 << 10;

/// `len` bytes, different at every offset of a stream for far longer than a ring.
pub fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(|i| (i.wrapping_mul(31) ^ (i >> 8)) as u8).collect()
}

/// Connects to the host's service, or says which one did not answer.
pub fn connect(port: u32) -> Result<Stream> {
    Stream::connect(port).with_context(|| format!("cannot connect to the host's port {port}"))
}

/// Connects `count` times and keeps all of them open.
pub fn connect_all(port: u32, count: usize) -> Result<Vec<Stream>> {
    (0..count).map(|i| connect(port).with_context(|| format!("connection {} of {count}", i + 1))).collect()
}

/// Sends `bytes` and checks that they come back.
pub fn echo(stream: &Stream, bytes: usize) -> Result<()> {
    let mut back = vec![0; ECHO_CHUNK.min(bytes)];
    let mut done = 0;
    while done < bytes {
        let data = pattern(done, ECHO_CHUNK.min(bytes - done));
        stream.send(&data).context("cannot send")?;
        let back = &mut back[..data.len()];
        stream.receive_exact(back).context("the echo does not come back")?;
        ensure!(*back == *data, "the echo differs from what was sent, after {done} bytes");
        done += data.len();
    }
    Ok(())
}

/// Sends the FIN and waits for the host's, or for the end of the channel.
pub fn close(stream: Stream) -> Result<()> {
    stream.finish().context("cannot send the FIN")?;
    let rest = stream.drain().context("the host does not close")?;
    drop(stream);
    ensure!(rest == 0, "{rest} bytes more than expected before the end");
    Ok(())
}

/// Sends `bytes`, `chunk` a call.
pub fn push(stream: &Stream, bytes: u64, chunk: usize) -> Result<()> {
    let data = pattern(0, chunk.max(1));
    let mut left = bytes;
    while left > 0 {
        let n = left.min(data.len() as u64);
        stream.send(&data[..n as usize]).with_context(|| format!("cannot send the last {left} bytes"))?;
        left -= n;
    }
    Ok(())
}

/// Sends until the ring is full; how many bytes went in.
pub fn fill(stream: &Stream) -> Result<u64> {
    let data = pattern(0, 64 << 10);
    let mut total = 0;
    loop {
        match stream.send_now(&data) {
            Ok(0) => bail!("a send of nothing after {total} bytes"),
            Ok(n) => total += n as u64,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(total),
            Err(e) => return Err(e).context("cannot fill the ring"),
        }
    }
}

/// Accepts up to `count` connections, `pause` before each, until none comes for `limit`.
pub fn accept(listener: &Listener, count: usize, pause: Duration, limit: Duration) -> Result<Vec<Stream>> {
    let mut streams = Vec::new();
    while streams.len() < count {
        std::thread::sleep(pause);
        match listener.accept(limit).context("cannot accept")? {
            Some(stream) => streams.push(stream),
            None => break,
        }
    }
    Ok(streams)
}
