//! What the simulated host has seen: the text of `/proc/hvhost`, as structs.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use crate::vsock::Ports;

/// The ledger: what the host saw, whatever the guest believes.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Sums.
    pub host: Host,
    /// Faults of the guest's kernel that the host was told to bring about.
    pub faults: Vec<Fault>,
    /// Services, on both sides.
    pub ports: Vec<Port>,
    /// Connections in the order in which they were asked for, those that are gone as well.
    pub conns: Vec<Conn>,
}

/// Who asked for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// The guest.
    #[default]
    ToHost,
    /// The host.
    FromHost,
}

/// Where a connection stands, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Offered to the guest, or about to be.
    #[default]
    Offered,
    /// Both ends may send.
    Open,
    /// A FIN has been sent or seen, or the host has taken the channel back.
    Closing,
    /// The guest has released the relid.
    Gone,
}

/// Sums over all connections since the last `reset`.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Offers posted to the guest.
    pub offers: u64,
    /// Offers the guest never opened.
    pub refused: u64,
    /// Connect requests the host left without an answer.
    pub ignored: u64,
    /// Channels the host took back.
    pub rescinds: u64,
    /// Relids the guest gave back.
    pub released: u64,
    /// VMBus messages from the guest.
    pub messages: u64,
    /// Event signals from the guest.
    pub signals: u64,
    /// Connections for which no relid was free.
    pub dropped: u64,
    /// Channels that exist now.
    pub live: u64,
    /// CLOCK_MONOTONIC when the ledger was read.
    pub now_ns: u64,
}

/// Calls of a kernel function that were made to go wrong; see `tests/hvhost/inject.c`.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    /// Counts faults since the last `reset`.
    pub id: u64,
    /// The function.
    pub function: String,
    /// Calls that are still to go wrong.
    pub left: u64,
    /// Calls that have gone wrong.
    pub done: u64,
}

/// A service: of the host for `ToHost`, of the guest for `FromHost`.
#[derive(Debug, Clone, Default)]
pub struct Port {
    /// The service's port.
    pub port: u32,
    /// Who connects to it.
    pub dir: Direction,
    /// What the host plays there.
    pub mode: String,
    /// The mode's argument.
    pub arg: u64,
    /// Connections asked for.
    pub connect_requests: u64,
    /// Offers posted.
    pub offers: u64,
    /// Offers never opened.
    pub refused: u64,
    /// Requests left without an answer.
    pub ignored: u64,
}

/// A connection. Times are CLOCK_MONOTONIC; 0 has not happened.
#[derive(Debug, Clone, Default)]
pub struct Conn {
    /// Counts connections since the module was loaded.
    pub id: u64,
    /// Its VMBus relid; another connection may have it later.
    pub relid: u32,
    /// Who asked for it.
    pub dir: Direction,
    /// The guest's port.
    pub guest_port: u32,
    /// The host's port.
    pub host_port: u32,
    /// What the host plays now.
    pub mode: String,
    /// Where it stands.
    pub state: State,
    /// Payload the host has received.
    pub rx_bytes: u64,
    /// Packets with payload the host has received.
    pub rx_packets: u64,
    /// Payload the host has sent.
    pub tx_bytes: u64,
    /// Packets with payload the host has sent.
    pub tx_packets: u64,
    /// The guest's FIN has arrived.
    pub rx_fin: bool,
    /// The host has sent its FIN.
    pub tx_fin: bool,
    /// Offered to the guest.
    pub offered_ns: u64,
    /// Opened by the guest and confirmed.
    pub opened_ns: u64,
    /// The guest's FIN was read.
    pub guest_fin_ns: u64,
    /// The host's FIN was sent.
    pub host_fin_ns: u64,
    /// Taken back by the host.
    pub rescinded_ns: u64,
    /// Released by the guest.
    pub released_ns: u64,
    /// The guest never opened it.
    pub refused: bool,
    /// Data bytes of the ring from the guest.
    pub out_size: u64,
    /// Data bytes of the ring to the guest.
    pub in_size: u64,
    /// Of `out_size`, written by the guest and not yet read; the last value once it is closed.
    pub out_used: u64,
    /// Of `in_size`, written by the host and not yet read; the last value once it is closed.
    pub in_used: u64,
    /// The most the host has ever seen in `out`.
    pub out_used_max: u64,
    /// How long `out` was too full for hv_sock to write, from when the host first saw it (2 ms late at most, as long
    /// as the host is not reading) until it made room.
    pub full_ns: u64,
    /// Since when it is, or 0.
    pub full_since_ns: u64,
    /// Interrupts the host has sent for it.
    pub irqs: u64,
    /// The line it was read from, for messages.
    pub line: String,
}

impl Conn {
    /// Whether the channel exists.
    pub fn live(&self) -> bool {
        self.state != State::Gone
    }

    /// Which connection it is.
    pub fn ports(&self) -> Ports {
        Ports { guest: self.guest_port, host: self.host_port }
    }

    /// The port of the service: the listening end's.
    pub fn service(&self) -> u32 {
        match self.dir {
            Direction::ToHost => self.host_port,
            Direction::FromHost => self.guest_port,
        }
    }
}

impl Ledger {
    /// Connections whose channel exists.
    pub fn live(&self) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(|c| c.live())
    }

    /// Connections of the service at `port`.
    pub fn of_service(&self, port: u32) -> impl Iterator<Item = &Conn> {
        self.conns.iter().filter(move |c| c.service() == port)
    }

    /// The connection of these two ports that is alive, or else the last that was.
    pub fn find(&self, ports: Ports) -> Option<&Conn> {
        let mut matching = self.conns.iter().rev().filter(|c| c.ports() == ports);
        matching.clone().find(|c| c.live()).or_else(|| matching.next())
    }
}

impl FromStr for Ledger {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut ledger = Self::default();
        for line in text.lines() {
            ledger.add(line).with_context(|| format!("in the ledger's line \"{line}\""))?;
        }
        Ok(ledger)
    }
}

impl Ledger {
    fn add(&mut self, line: &str) -> Result<()> {
        let (kind, rest) = line.split_once(' ').context("it has one word only")?;
        let words = Words::new(rest)?;
        match kind {
            "host" => self.host = host(&words)?,
            "fault" => self.faults.push(fault(&words)?),
            "port" => self.ports.push(port(&words)?),
            "conn" => self.conns.push(conn(&words, line)?),
            _ => bail!("\"{kind}\" is no kind of line"),
        }
        Ok(())
    }
}

/// The `key=value` words of a line.
struct Words<'a>(HashMap<&'a str, &'a str>);

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let pair =
            |word: &'a str| word.split_once('=').with_context(|| format!("\"{word}\" is not key=value"));
        text.split_whitespace().map(pair).collect::<Result<_>>().map(Self)
    }

    fn text(&self, key: &str) -> Result<&'a str> {
        self.0.get(key).copied().with_context(|| format!("{key} is missing"))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.text(key)?;
        text.parse().ok().with_context(|| format!("{key}={text} is not a number of its kind"))
    }

    fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.number::<u8>(key)? != 0)
    }

    fn direction(&self) -> Result<Direction> {
        match self.text("dir")? {
            "to_host" => Ok(Direction::ToHost),
            "from_host" => Ok(Direction::FromHost),
            other => bail!("dir={other} is unknown"),
        }
    }
}

fn host(w: &Words<'_>) -> Result<Host> {
    Ok(Host {
        offers: w.number("offers")?,
        refused: w.number("refused")?,
        ignored: w.number("ignored")?,
        rescinds: w.number("rescinds")?,
        released: w.number("released")?,
        messages: w.number("messages")?,
        signals: w.number("signals")?,
        dropped: w.number("dropped")?,
        live: w.number("live")?,
        now_ns: w.number("now_ns")?,
    })
}

fn fault(w: &Words<'_>) -> Result<Fault> {
    Ok(Fault {
        id: w.number("id")?,
        function: w.text("function")?.to_owned(),
        left: w.number("left")?,
        done: w.number("done")?,
    })
}

fn port(w: &Words<'_>) -> Result<Port> {
    Ok(Port {
        port: w.number("port")?,
        dir: w.direction()?,
        mode: w.text("mode")?.to_owned(),
        arg: w.number("arg")?,
        connect_requests: w.number("connect_requests")?,
        offers: w.number("offers")?,
        refused: w.number("refused")?,
        ignored: w.number("ignored")?,
    })
}

fn conn(w: &Words<'_>, line: &str) -> Result<Conn> {
    Ok(Conn {
        id: w.number("id")?,
        relid: w.number("relid")?,
        dir: w.direction()?,
        guest_port: w.number("guest_port")?,
        host_port: w.number("host_port")?,
        mode: w.text("mode")?.to_owned(),
        state: match w.text("state")? {
            "offered" => State::Offered,
            "open" => State::Open,
            "closing" => State::Closing,
            "gone" => State::Gone,
            other => bail!("state={other} is unknown"),
        },
        rx_bytes: w.number("rx_bytes")?,
        rx_packets: w.number("rx_packets")?,
        tx_bytes: w.number("tx_bytes")?,
        tx_packets: w.number("tx_packets")?,
        rx_fin: w.flag("rx_fin")?,
        tx_fin: w.flag("tx_fin")?,
        offered_ns: w.number("offered_ns")?,
        opened_ns: w.number("opened_ns")?,
        guest_fin_ns: w.number("guest_fin_ns")?,
        host_fin_ns: w.number("host_fin_ns")?,
        rescinded_ns: w.number("rescinded_ns")?,
        released_ns: w.number("released_ns")?,
        refused: w.flag("refused")?,
        out_size: w.number("out_size")?,
        in_size: w.number("in_size")?,
        out_used: w.number("out_used")?,
        in_used: w.number("in_used")?,
        out_used_max: w.number("out_used_max")?,
        full_ns: w.number("full_ns")?,
        full_since_ns: w.number("full_since_ns")?,
        irqs: w.number("irqs")?,
        line: line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
host offers=3 refused=1 ignored=0 rescinds=3 released=2 messages=17 signals=6 dropped=0 live=1 now_ns=2566547283
fault id=1 how=fail function=sk_alloc inside=- left=1 done=2
port port=5000 dir=to_host mode=echo arg=0 connect_requests=3 offers=3 refused=0 ignored=0
conn id=1 relid=1 dir=to_host guest_port=987926383 host_port=5000 mode=echo state=gone rx_bytes=5000 rx_packets=2 tx_bytes=5000 tx_packets=2 rx_fin=1 tx_fin=1 offered_ns=2540932278 opened_ns=2543708603 guest_fin_ns=2548813785 host_fin_ns=2548839894 rescinded_ns=2549026862 released_ns=2551054562 refused=0 out_size=24576 in_size=24576 out_used=0 in_used=32 out_used_max=5064 full_ns=0 full_since_ns=0 irqs=2
conn id=2 relid=1 dir=from_host guest_port=6000 host_port=1879048193 mode=stall state=open rx_bytes=0 rx_packets=0 tx_bytes=0 tx_packets=0 rx_fin=0 tx_fin=0 offered_ns=3 opened_ns=4 guest_fin_ns=0 host_fin_ns=0 rescinded_ns=0 released_ns=0 refused=0 out_size=24576 in_size=24576 out_used=24536 in_used=0 out_used_max=24536 full_ns=112694822 full_since_ns=14321007091 irqs=0
";

    #[test]
    fn every_kind_of_line_is_read() {
        let ledger: Ledger = TEXT.parse().expect("a ledger");
        assert_eq!((ledger.host.offers, ledger.host.live), (3, 1));
        assert_eq!(
            (&*ledger.faults[0].function, ledger.faults[0].left, ledger.faults[0].done),
            ("sk_alloc", 1, 2)
        );
        assert_eq!((ledger.ports[0].port, ledger.ports[0].connect_requests), (5000, 3));
        let [first, second] = &ledger.conns[..] else { panic!("two connections") };
        assert_eq!((first.rx_bytes, first.rx_packets, first.rx_fin, first.live()), (5000, 2, true, false));
        assert_eq!((second.dir, second.service(), second.out_used), (Direction::FromHost, 6000, 24_536));
        assert_eq!(ledger.find(second.ports()).map(|c| c.id), Some(2));
        assert_eq!(ledger.live().count(), 1);
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = TEXT.replace("offers=3", "offers=x").parse::<Ledger>().expect_err("not a number");
        assert!(format!("{error:#}").contains("offers=x"), "{error:#}");
        assert!("what is=this".parse::<Ledger>().is_err());
    }
}
