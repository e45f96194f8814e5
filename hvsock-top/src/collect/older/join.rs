//! Which socket belongs to which channel. Neither list names the other, so they are matched by what hv_sock makes of the GUIDs.
//!
//! For a connection of the host's the service (`if_type`) is the guest's port and the first four bytes of the instance are taken for the
//! host's port. For one of the guest's the instance is the guest's own endpoint, a vsock port's GUID, and the service is the host's port
//! (`hvs_open_connection`, `hvs_connect`, net/vmw_vsock/hyperv_transport.c). Which of the two a channel is, no file says; the socket that
//! fits does. A match counts only if the channel has no other socket and the socket no other channel: else nothing is said.

use std::collections::BTreeMap;

use hvsock_common::Direction;

use super::{
    super::guid,
    channels::Channel,
    diag::{CLOSING, ESTABLISHED, Socket},
};

/// `VMADDR_CID_HOST`: at the other end of every hv_sock connection.
const HOST: u32 = 2;

/// What is known of a channel's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    /// Who connected, the guest's port, the host's port.
    pub ends: Option<(Direction, u32, u32)>,
    /// Its socket, where that is certain.
    pub socket: Option<Socket>,
}

/// The two ways to read a channel's GUIDs.
fn readings(channel: &Channel) -> impl Iterator<Item = (Direction, u32, u32)> {
    let (service, instance) = (guid::port(&channel.service), guid::port(&channel.instance));
    let from_host = service.map(|port| (Direction::FromHost, port, guid::leading_port(&channel.instance)));
    // Only the guest's own endpoint has the form of a vsock port's GUID for certain; the host's may have.
    let to_host = service.zip(instance).map(|(host, own)| (Direction::ToHost, own, host));
    from_host.into_iter().chain(to_host)
}

/// For each channel what is known of its connection. Without sockets only what the GUIDs alone say.
pub(super) fn join(channels: &[Channel], sockets: Option<&[Socket]>) -> Vec<Joined> {
    let connected = |s: &&Socket| s.remote_cid == HOST && matches!(s.state, ESTABLISHED | CLOSING);
    let sockets: Option<Vec<&Socket>> = sockets.map(|all| all.iter().filter(connected).collect());
    // By the ports of a socket, as it shows them: the channels that would show the same.
    let mut matching = BTreeMap::<(u32, u32), Vec<(usize, Direction)>>::new();
    for (index, channel) in channels.iter().enumerate() {
        for (direction, local, remote) in readings(channel) {
            matching.entry((local, remote)).or_default().push((index, direction));
        }
    }
    let mut fits = vec![Fits::default(); channels.len()];
    for socket in sockets.iter().flatten() {
        let candidates =
            matching.get(&(socket.local_port, socket.remote_port)).map_or(&[][..], Vec::as_slice);
        for (index, direction) in candidates {
            fits[*index].count += 1;
            fits[*index].last = (candidates.len() == 1).then_some((*direction, **socket));
        }
    }
    let joined = |(channel, fits): (&Channel, Fits)| {
        let mut readings = readings(channel);
        match (fits, readings.next(), readings.next()) {
            (Fits { count: 1, last: Some((direction, socket)) }, ..) => Joined {
                ends: Some((direction, socket.local_port, socket.remote_port)),
                socket: Some(socket),
            },
            (_, only, None) => Joined { ends: only, socket: None },
            _ => Joined { ends: None, socket: None },
        }
    };
    channels.iter().zip(fits).map(joined).collect()
}

/// The sockets that fit a channel.
#[derive(Clone, Copy, Default)]
struct Fits {
    count: usize,
    /// The last of them, if it fits no other channel.
    last: Option<(Direction, Socket)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(relid: u32, service: &str, instance: &str) -> Channel {
        Channel {
            relid,
            open: true,
            service: guid::parse(service).unwrap(),
            instance: guid::parse(instance).unwrap(),
            out_size: None,
            in_size: None,
            unread: None,
        }
    }

    fn of_ports(service: u32, instance: u32) -> Channel {
        channel(1, &guid::of_port(service), &guid::of_port(instance))
    }

    fn socket(local_port: u32, remote_port: u32) -> Socket {
        Socket {
            state: ESTABLISHED,
            shutdown: 0,
            local_port,
            remote_cid: HOST,
            remote_port,
            inode: local_port,
        }
    }

    const RANDOM: &str = "0000beef-1234-5678-9abc-def012345678";

    #[test]
    fn each_direction_has_its_own_way_to_read_the_guids() {
        let channels =
            [channel(1, &guid::of_port(6002), RANDOM), of_ports(5001, 900), of_ports(6003, 0x7000)];
        let sockets = [socket(6003, 0x7000), socket(900, 5001), socket(6002, 0xbeef)];
        let joined = join(&channels, Some(&sockets));
        let ends: Vec<_> = joined.iter().map(|j| j.ends.unwrap()).collect();
        assert_eq!(ends[0], (Direction::FromHost, 6002, 0xbeef));
        assert_eq!(ends[1], (Direction::ToHost, 900, 5001));
        assert_eq!(ends[2], (Direction::FromHost, 6003, 0x7000));
        let inodes: Vec<_> = joined.iter().map(|j| j.socket.unwrap().inode).collect();
        assert_eq!(inodes, [6002, 900, 6003]);
    }

    #[test]
    fn without_a_socket_only_what_the_guids_say_is_known() {
        let channels = [channel(1, &guid::of_port(6002), RANDOM), of_ports(5001, 900)];
        for sockets in [None, Some(&[][..])] {
            let joined = join(&channels, sockets);
            assert_eq!(joined[0], Joined { ends: Some((Direction::FromHost, 6002, 0xbeef)), socket: None });
            assert_eq!(joined[1], Joined { ends: None, socket: None });
        }
    }

    #[test]
    fn what_fits_twice_is_not_guessed() {
        // Two channels that show the same ports, as two of the host's that begin with the same four bytes.
        let other = "0000beef-ffff-ffff-ffff-ffffffffffff";
        let channels = [channel(1, &guid::of_port(6002), RANDOM), channel(2, &guid::of_port(6002), other)];
        for sockets in [&[socket(6002, 0xbeef)][..], &[socket(6002, 0xbeef), socket(6002, 0xbeef)]] {
            for joined in join(&channels, Some(sockets)) {
                assert_eq!(joined, Joined { ends: Some((Direction::FromHost, 6002, 0xbeef)), socket: None });
            }
        }
        // Two sockets that fit one channel, each in its own direction.
        let joined = join(&[of_ports(5001, 900)], Some(&[socket(5001, 900), socket(900, 5001)]));
        assert_eq!(joined, [Joined { ends: None, socket: None }]);
    }

    #[test]
    fn sockets_of_others_and_those_not_connected_fit_nothing() {
        let channels = [of_ports(5001, 900)];
        let wrong = [
            Socket { remote_cid: 1, ..socket(900, 5001) },
            Socket { state: super::super::diag::LISTEN, ..socket(900, 5001) },
            socket(900, 5002),
        ];
        assert_eq!(join(&channels, Some(&wrong)), [Joined { ends: None, socket: None }]);
    }
}
