//! What the filter finds in rows.

use std::borrow::Cow;

use super::{
    derive,
    picture::Row,
    query::{Field, Fields, Value},
    words,
};
use crate::model::{LifecycleEvent, Listener};

impl Fields for Row<'_> {
    fn get(&self, field: Field) -> Value<'_> {
        let c = self.connection;
        match field {
            Field::Port => Value::number(derive::service_port(c)),
            Field::Local => Value::number(c.local_port),
            Field::Remote => Value::number(c.remote_port),
            Field::Direction => Value::text(c.direction.map(words::direction_name)),
            Field::State if self.gone_for_ns.is_some() => Value::text(Some("closed")),
            Field::State => Value::text(c.state.map(words::state)),
            Field::Comm => Value::text(c.comm.as_deref()),
            Field::Pid => Value::number(c.pid),
            Field::Relid => Value::number(Some(c.relid)),
            Field::Id => Value::text(Some(&c.id)),
            Field::Guid => Value::text(Some(&c.service_guid)),
            Field::Tx => Value::number(self.rates.tx),
            Field::Rx => Value::number(self.rates.rx),
            Field::TxBytes => Value::counter(c.tx.bytes),
            Field::RxBytes => Value::counter(c.rx.bytes),
            Field::Out => Value::number(derive::out_share(c).map(|share| share * 100.0)),
            Field::In => Value::number(derive::in_share(c).map(|share| share * 100.0)),
            Field::Stalls => Value::counter(c.tx.stalls),
            Field::Stalled => Value::counter(c.tx.stalled_for_ns),
            Field::Eagain => Value::counter(c.tx.eagain),
            Field::Open => Value::counter(derive::open_ns(c)),
            Field::Age => Value::counter(c.age_ns),
            Field::Errno => Value::number(c.tx.last_error),
            Field::Event | Field::Why => Value::Unknown,
        }
    }
}

impl Fields for LifecycleEvent {
    fn get(&self, field: Field) -> Value<'_> {
        match field {
            Field::Port => Value::number(match self.direction {
                Some(crate::model::Direction::FromHost) => self.local_port,
                Some(crate::model::Direction::ToHost) => self.remote_port,
                None => None,
            }),
            Field::Local => Value::number(self.local_port),
            Field::Remote => Value::number(self.remote_port),
            Field::Direction => Value::text(self.direction.map(words::direction_name)),
            Field::Comm => Value::text(self.comm.as_deref()),
            Field::Pid => Value::number(self.pid),
            Field::Relid => Value::number(self.relid),
            Field::Id => Value::text(self.id.as_deref()),
            Field::TxBytes => Value::counter(self.tx_bytes),
            Field::RxBytes => Value::counter(self.rx_bytes),
            Field::Event => Value::Text(Cow::Borrowed(words::event(self.event))),
            Field::Why => Value::text(self.why.as_deref()),
            Field::Errno => Value::number(self.errno),
            Field::State
            | Field::Guid
            | Field::Tx
            | Field::Rx
            | Field::Out
            | Field::In
            | Field::Stalls
            | Field::Stalled
            | Field::Eagain
            | Field::Open
            | Field::Age => Value::Unknown,
        }
    }
}

impl Fields for Listener {
    fn get(&self, field: Field) -> Value<'_> {
        match field {
            Field::Port | Field::Local => Value::number(Some(self.port)),
            Field::Direction => Value::text(Some("from_host")),
            Field::Comm => Value::text(self.comm.as_deref()),
            Field::Pid => Value::number(self.pid),
            Field::Guid => Value::text(Some(&self.service_guid)),
            _ => Value::Unknown,
        }
    }
}
