//! The server as clients see it, the hostile ones too.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    export::board::Format,
    export::tests::{demo, finding},
    model::{Module, ProbeState},
};

const LOOPBACK: &str = "127.0.0.1:0";

fn start(board: &Arc<Board>) -> (Server, SocketAddr) {
    let server = Server::start(&[LOOPBACK.parse().unwrap()], Arc::clone(board), || ()).unwrap();
    let address = server.addresses()[0].strip_prefix("http://").unwrap().parse().unwrap();
    server.open();
    (server, address)
}

fn board() -> Arc<Board> {
    let mut snapshot = demo();
    snapshot.accounting.reconciled = true;
    let board = Arc::new(Board::new(Duration::from_mins(10), 64));
    board.publish(snapshot);
    board
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Head and body of the answer.
fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.to_owned(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

#[test]
fn everything_there_is_can_be_asked_for() {
    let board = board();
    let (server, address) = start(&board);
    let (head, body) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nhvsock_blind 0\n"));
    let wish =
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n";
    let (head, body) = ask(address, wish);
    assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(body.ends_with("# EOF\n"));
    let (head, body) = get(address, "/snapshot");
    assert!(head.contains("application/json"), "{head}");
    let mut snapshot = demo();
    snapshot.accounting.reconciled = true;
    assert_eq!(body, serde_json::to_string(&snapshot).unwrap() + "\n");
    assert!(get(address, "/").1.contains("/metrics"));
    let (head, body) = get(address, "/nothing");
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("/metrics"), "{head} {body}");
    let (head, _) = ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 405") && head.to_lowercase().contains("allow: get, head"), "{head}");
    let (head, body) = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head} {body}");
    assert!(server.is_running());
    server.end();
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn health_says_what_is_wrong() {
    let check = |board: &Arc<Board>, code: &str, words: &str| {
        let (server, address) = start(board);
        let (head, body) = get(address, "/healthz");
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")) && body.contains(words), "{head}\n{body}");
        server.end();
    };
    check(&board(), "200", "\"status\":\"ok\"");
    check(&Arc::new(Board::new(Duration::from_secs(1), 1)), "503", "no Snapshot yet");
    let publish = |change: fn(&mut crate::model::Snapshot)| {
        let board = board();
        let mut snapshot = demo();
        snapshot.accounting.reconciled = true;
        change(&mut snapshot);
        board.publish(snapshot);
        board
    };
    check(&publish(|s| s.host.hv_sock = Module::Absent), "503", "hv_sock is not loaded");
    check(&publish(|s| s.accounting.reconciled = false), "503", "does not reconcile");
    check(
        &publish(|s| {
            s.probes[0].required = true;
            s.probes[0].state = ProbeState::Failed;
        }),
        "503",
        "is not seen",
    );
    // One that is not needed costs metrics, not health; nor do findings, which are about the sockets.
    check(
        &publish(|s| {
            s.probes.iter_mut().find(|p| !p.required).unwrap().state = ProbeState::Denied;
            s.findings = Some(vec![finding()]);
        }),
        "200",
        "send_stall",
    );
    let hasty = Arc::new(Board::new(Duration::from_millis(10), 1));
    let mut snapshot = demo();
    snapshot.accounting.reconciled = true;
    hasty.publish(snapshot);
    thread::sleep(Duration::from_millis(1100));
    check(&hasty, "503", " s old");
}

#[test]
fn nobody_is_answered_before_there_is_something_to_say() {
    let board = board();
    let server = Server::start(&[LOOPBACK.parse().unwrap()], board, || ()).unwrap();
    let address = server.addresses()[0].strip_prefix("http://").unwrap().parse().unwrap();
    let mut early = connect(address);
    early.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    early.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut byte = [0];
    assert_eq!(early.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    server.open();
    early.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    early.read_exact(&mut byte).unwrap();
    server.end();
}

#[test]
fn those_who_hang_make_room_for_those_who_ask() {
    let (server, address) = start(&board());
    let hanging: Vec<TcpStream> = (0..200)
        .map(|n| {
            let mut stream = connect(address);
            // Every other one says something, and never all of it.
            if n % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
            }
            stream
        })
        .collect();
    let begun = Instant::now();
    let (head, _) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Well before those who hang meet their time-out.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let open = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let mut stream: &TcpStream = stream;
        stream.read(&mut [0]).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
    };
    let left = hanging.iter().filter(open).count();
    assert!(left <= Limits::default().connections, "{left} are still there");
    let begun = Instant::now();
    server.end();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn too_large_a_head_is_refused() {
    let (server, address) = start(&board());
    let mut stream = connect(address);
    let head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    // The server may close before it has read all of it.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(get(address, "/metrics").0.starts_with("HTTP/1.1 200"));
    for nonsense in ["\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03", "nonsense\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let (head, _) = ask(address, nonsense);
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 400"), "{head}");
    }
    server.end();
}

#[test]
fn a_bad_address_is_told_with_what_to_do() {
    let held = std::net::TcpListener::bind(LOOPBACK).unwrap();
    let taken = Address::Tcp(held.local_addr().unwrap());
    let told = |address: Address| match Server::start(&[address], board(), || ()) {
        Err(StartError::Listen(error)) => (error.to_string(), error.remedy()),
        _ => panic!("{address} is listened at"),
    };
    let (what, remedy) = told(taken);
    assert!(what.contains("another program") && remedy.contains("ss -ltnp"), "{what} {remedy}");
    // TEST-NET-1: nobody's.
    let (what, remedy) = told("192.0.2.1:9464".parse().unwrap());
    assert!(what.contains("no such address") && remedy.contains("ip address"), "{what} {remedy}");
}

#[test]
fn a_body_is_made_once() {
    let board = board();
    let newest = board.newest().unwrap();
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf, Format::Json] {
        assert_eq!(newest.body(format).as_ptr(), newest.body(format).as_ptr());
    }
}
