use super::*;

/// A netlink message.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(2_u16.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

/// `struct vsock_diag_msg`, byte by byte: a listener at 6002, and a child of it that nobody has accepted.
const LISTENER: [u8; MESSAGE] = [
    40, 1, 10, 0, 0xff, 0xff, 0xff, 0xff, 0x72, 0x17, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x52, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
];
const CHILD: [u8; MESSAGE] = [
    40, 1, 1, 2, 0xff, 0xff, 0xff, 0xff, 0x72, 0x17, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0x70, 0, 0, 0, 0, 8, 0, 0, 0,
    1, 0, 0, 0,
];

fn listener() -> Socket {
    Socket {
        state: LISTEN,
        shutdown: 0,
        local_port: 6002,
        remote_cid: u32::MAX,
        remote_port: u32::MAX,
        inode: 338,
    }
}

fn child() -> Socket {
    Socket {
        state: ESTABLISHED,
        shutdown: 2,
        local_port: 6002,
        remote_cid: 2,
        remote_port: 0x7000_0001,
        inode: 0,
    }
}

fn answer(parts: &[Vec<u8>]) -> Option<Result<Vec<Socket>, NoDiag>> {
    let mut answer = Answer::default();
    for part in parts {
        answer.take(part);
    }
    answer.end.is_some().then(|| answer.finish())
}

fn done(error: i32) -> Vec<u8> {
    message(NLMSG_DONE, &error.to_ne_bytes())
}

#[test]
fn the_request_is_as_the_kernel_wants_it() {
    let bytes = request(&[ESTABLISHED, LISTEN]);
    assert_eq!(bytes.len(), 40);
    assert_eq!(bytes[..8], [40, 0, 0, 0, 20, 0, 1, 3]);
    assert_eq!(bytes[16..24], [40, 0, 0, 0, 2, 4, 0, 0]);
}

#[test]
fn sockets_come_in_one_part_or_several_and_none_comes_twice() {
    let (one, two) = (message(SOCK_DIAG_BY_FAMILY, &LISTENER), message(SOCK_DIAG_BY_FAMILY, &CHILD));
    let both = [one.clone(), two.clone()].concat();
    let expected = Some(Ok(vec![listener(), child()]));
    assert_eq!(answer(&[both.clone(), done(0)]), expected);
    assert_eq!(answer(&[one.clone(), two, one, done(0)]), expected);
    assert_eq!(answer(&[both]), None, "the end has not come");
    assert_eq!(answer(&[done(0)]), Some(Ok(Vec::new())));
}

#[test]
fn a_refusal_says_whether_the_module_is_missing() {
    let refused =
        |errno: i32| answer(&[message(NLMSG_ERROR, &[&errno.to_ne_bytes()[..], &[0; 16]].concat())]);
    assert_eq!(refused(-libc::ENOENT), Some(Err(NoDiag::Absent)));
    let Some(Err(NoDiag::Failed(why))) = refused(-libc::EPERM) else { panic!("it was refused") };
    assert!(why.contains("not permitted"), "{why}");
    for error in [-libc::ENOMEM, 1, i32::MIN, i32::MAX] {
        assert!(matches!(answer(&[done(error)]), Some(Err(NoDiag::Failed(_)))), "{error}");
    }
}

#[test]
fn nonsense_is_an_error_and_never_a_panic() {
    let whole = [message(SOCK_DIAG_BY_FAMILY, &LISTENER), message(SOCK_DIAG_BY_FAMILY, &CHILD)].concat();
    for len in 1..whole.len() {
        let cut = answer(&[whole[..len].to_vec()]);
        let complete = len == HEADER + MESSAGE;
        assert_eq!(cut.is_some_and(|a| a.is_err()), !complete, "cut at {len}");
    }
    for len in [0_u32, 15, 17, u32::MAX] {
        let mut bytes = whole.clone();
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        assert!(answer(&[bytes]).is_some_and(|a| a.is_err()), "length {len}");
    }
    let foreign = message(SOCK_DIAG_BY_FAMILY, &[1; MESSAGE]);
    assert!(answer(&[foreign]).is_some_and(|a| a.is_err()), "another family's");
}
