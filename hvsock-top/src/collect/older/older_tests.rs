use hvsock_common::Direction;

use super::*;

fn channel(relid: u32) -> Channel {
    Channel {
        relid,
        open: true,
        service: guid::parse(&guid::of_port(5001)).unwrap(),
        instance: guid::parse(&guid::of_port(900 + relid)).unwrap(),
        out_size: Some(24576),
        in_size: Some(20480),
        unread: Some(false),
    }
}

fn socket(inode: u32) -> Socket {
    Socket { state: ESTABLISHED, shutdown: 0, local_port: 903, remote_cid: 2, remote_port: 5001, inode }
}

fn owner(pid: u32) -> Owner {
    Owner { pid, comm: *b"server\0\0\0\0\0\0\0\0\0\0", fd: 7 }
}

fn owners(all: &[(u32, u32)]) -> Owners {
    Owners { by_inode: all.iter().map(|(inode, pid)| (*inode, owner(*pid))).collect(), unseen: 0 }
}

fn older(connections: Vec<ConnRecord>) -> Older {
    let connections = connections.into_iter().map(|record| (record.relid, record)).collect();
    Older { connections, opening: BTreeMap::new(), listeners: BTreeMap::new(), sight: Sight::default() }
}

fn known(relid: u32, turn: u64) -> ConnRecord {
    let joined = Joined { ends: Some((Direction::ToHost, 903, 5001)), socket: Some(socket(70)) };
    record(&channel(relid), &joined, &owners(&[(70, 12)]), turn)
}

#[test]
fn what_is_known_is_told_and_what_is_not_is_unknown() {
    let whole = known(3, 6);
    assert_eq!((whole.relid, whole.seq, whole.flags), (3, 6, flag::INHERITED));
    assert_eq!((whole.direction, whole.local_port, whole.remote_port), (Direction::ToHost as u32, 903, 5001));
    assert_eq!((whole.pid, whole.fd, whole.state), (12, 7, State::Established as u32));
    assert_eq!((whole.rings.out_size, whole.rings.in_size, whole.rings.pages), (24576, 20480, 13));
    let bare = Channel { out_size: None, ..channel(3) };
    let bare = record(&bare, &Joined { ends: None, socket: None }, &owners(&[(70, 12)]), 6);
    assert_eq!((bare.direction, bare.local_port, bare.remote_port), (UNTOLD, NO_PORT, NO_PORT));
    assert_eq!((bare.pid, bare.fd, bare.state), (0, -1, UNTOLD));
    assert_eq!((bare.rings.out_size, bare.rings.in_size, bare.rings.pages), (0, 20480, 0));
}

#[test]
fn a_state_is_told_only_where_nothing_else_looks_the_same() {
    let of = |socket: Socket, unread| state(&socket, &Channel { unread, ..channel(3) });
    let (clear, full) = (Some(false), Some(true));
    assert_eq!(of(socket(70), clear), Some(State::Established));
    assert_eq!(of(socket(0), clear), Some(State::Established), "it waits to be accepted");
    assert_eq!(of(socket(70), full), None, "the host may have taken it away");
    assert_eq!(of(socket(70), None), None);
    assert_eq!(of(Socket { shutdown: SHUT, ..socket(0) }, full), Some(State::Closing));
    assert_eq!(of(Socket { shutdown: SHUT, ..socket(70) }, clear), Some(State::Established), "still open");
    assert_eq!(of(Socket { state: CLOSING, ..socket(70) }, clear), None);
}

#[test]
fn a_connection_that_a_hook_has_met_is_not_told_twice_and_keeps_its_owner() {
    let older = older(vec![known(3, 6), known(4, 2)]);
    let met = ConnRecord { seq: 6, pid: 0, fd: -1, tx: known(3, 6).tx, ..known(3, 6) };
    let mut live = vec![met];
    older.complete(&mut live, vec![known(3, 6), known(4, 2)]);
    let told: Vec<_> = live.iter().map(|r| (r.relid, r.pid, r.fd)).collect();
    assert_eq!(told, [(3, 12, 7), (4, 12, 7)]);
}

#[test]
fn owners_belong_to_one_connection_not_to_its_slot() {
    let older = older(vec![known(3, 6)]);
    let own = |change: fn(&mut ConnRecord)| {
        let mut one = ConnRecord { pid: 0, fd: -1, ..known(3, 6) };
        change(&mut one);
        older.own(&mut one);
        (one.pid, one.fd)
    };
    assert_eq!(own(|_| {}), (12, 7));
    assert_eq!(own(|r| r.seq = 8), (12, 7), "as its end reports it");
    assert_eq!(own(|r| r.seq = 10), (0, -1), "the next in the slot");
    assert_eq!(own(|r| r.instance[0] = 1), (0, -1));
    assert_eq!(own(|r| r.flags = 0), (0, -1), "seen from its beginning");
    assert_eq!(own(|r| r.pid = 99), (99, -1), "somebody was seen accepting");
    assert_eq!(own(|r| r.pid = 12), (12, 7));
}

#[test]
fn an_open_that_was_under_way_is_found_when_it_is_done() {
    let mut older = older(Vec::new());
    let offers = [Channel { open: false, ..channel(3) }, Channel { open: false, ..channel(4) }, channel(5)];
    older.find(&offers, Some(&[]), |relid| Some(u64::from(relid) * 4 + 2));
    let offer = |relid, turn| (relid, Offer { turn, instance: channel(relid).instance });
    assert_eq!(older.opening, BTreeMap::from([offer(3, 14), offer(4, 18)]));
    let later = [channel(3), channel(4), channel(5), channel(6)];
    let turns = std::mem::take(&mut older.opening);
    older.find(&later, Some(&[socket(0)]), |relid| turns.get(&relid).map(|o| o.turn).filter(|_| relid == 3));
    assert_eq!(older.connections.keys().collect::<Vec<_>>(), [&3, &5], "4 was met by a hook, 6 is new");
    assert_eq!((older.connections[&3].seq, older.connections[&3].local_port), (14, 903));
    assert!(older.opening.is_empty());
}

#[test]
fn listeners_come_and_go_and_keep_the_owner_they_had() {
    let mut older = older(Vec::new());
    let at = |port, inode| Socket { state: LISTEN, local_port: port, inode, ..socket(inode) };
    let told = |older: &Older| -> Vec<_> {
        older.listeners().iter().map(|(_, l)| (l.port, l.pid, l.fd, l.backlog)).collect()
    };
    older.listen([at(6002, 70), at(6003, 71)].iter(), &owners(&[(70, 12)]));
    assert_eq!(told(&older), [(6002, 12, 7, UNTOLD), (6003, 0, -1, UNTOLD)]);
    older.listen([at(6002, 70), at(6004, 73)].iter(), &owners(&[(70, 99), (73, 13)]));
    assert_eq!(told(&older), [(6002, 12, 7, UNTOLD), (6004, 13, 7, UNTOLD)]);
    older.listen([at(6004, 73), at(6004, 74)].iter(), &owners(&[(74, 14)]));
    assert_eq!(told(&older), [(6004, 0, -1, UNTOLD)], "which of the two is not known");
    older.listen([].iter(), &owners(&[]));
    assert_eq!(told(&older), []);
}
