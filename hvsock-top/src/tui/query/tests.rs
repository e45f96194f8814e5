//! The language, by examples and by whatever proptest thinks of.

use std::{borrow::Cow, collections::HashMap};

use proptest::prelude::*;

use super::*;

/// A row made of what a test needs.
#[derive(Default)]
struct Made(HashMap<Field, Value<'static>>);

impl Made {
    fn with(mut self, field: Field, value: Value<'static>) -> Self {
        self.0.insert(field, value);
        self
    }
}

impl Fields for Made {
    fn get(&self, field: Field) -> Value<'_> {
        self.0.get(&field).cloned().unwrap_or(Value::Unknown)
    }
}

fn row() -> Made {
    Made::default()
        .with(Field::Port, Value::Number(5000.0))
        .with(Field::Comm, Value::Text(Cow::Borrowed("vSockd")))
        .with(Field::State, Value::Text(Cow::Borrowed("closing")))
        .with(Field::Stalls, Value::Number(3.0))
        .with(Field::Tx, Value::Number(20_480.0))
        .with(Field::Stalled, Value::Number(5_000_000.0))
}

fn holds(text: &str) -> bool {
    Query::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).unwrap().matches(&row())
}

#[test]
fn what_holds() {
    for text in [
        "port:5000 and stalls>0",
        "comm=vsockd or state:established",
        "comm:sock state:clos",
        "COMM=VSOCKD",
        "tx>=20KiB tx<=20k tx>20kb",
        "tx>10KiB",
        "stalled=5ms stalled>4999us stalled<0.006",
        "not port:22",
        "!(port:22 or comm:ssh)",
        "/^v.*d$/",
        "comm~^vso",
        "comm:/KD$/",
        "500",
        "vsock",
        "pid=-",
        "port!=- pid=-",
        "port!=22",
        "comm != ssh",
        "comm=\"vsockd\"",
        "port:22 or stalls>0 and comm:vs",
        "port:5000 && stalls>2 || comm:x",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn what_does_not_hold() {
    for text in [
        "port:500",
        "comm=vsock",
        "stalls>3",
        "pid>0",
        "pid<1",
        "pid=0",
        "pid!=7",
        "pid:7 or why:x",
        "nothing",
        "/^sock/",
        "port=-",
        "(port:22 or port:5000) and comm:ssh",
        "comm!=vsockd",
    ] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn errors_have_their_place() {
    for (text, at, begin) in [
        ("prt:1", 0, "there is no field `prt`"),
        ("port:", 5, "a value for `port` is missing"),
        ("port:abc", 5, "`port` takes a number"),
        ("é and open>5x", 11, "`open` takes a time"),
        ("tx>5q", 3, "`tx` takes a size"),
        ("comm<a", 5, "`comm` is text"),
        ("(port:1", 0, "this ( is not closed"),
        ("port:1)", 6, "there is no ("),
        ("and", 0, "a condition must come before"),
        ("port:1 or", 9, "a condition is missing"),
        ("comm:\"x", 5, "this quoted text has no end"),
        ("/x", 0, "this regular expression has no end"),
        ("comm~(", 5, "a value for `comm` is missing"),
        ("comm~\"(\"", 5, "this is no regular expression"),
        (":5", 0, "a field's name must come before"),
        ("port:1 &", 7, "`&` means nothing"),
        ("comm>/x/", 5, "a regular expression is neither"),
        ("pid<-", 4, "what is not known"),
    ] {
        let error = Query::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(error.at, at, "{text}: {error:?}");
        assert!(error.what.starts_with(begin), "{text}: {error:?}");
    }
}

#[test]
fn nothing_filters_nothing() {
    assert!(Query::parse("").unwrap().is_none());
    assert!(Query::parse(" \t").unwrap().is_none());
}

#[test]
fn depth_and_regular_expressions_are_bounded() {
    let deep = format!("{}port:1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Query::parse(&deep).unwrap_err().what.contains("deeply"));
    assert!(Query::parse(&"not ".repeat(100_000)).unwrap_err().what.contains("deeply"));
    assert!(Query::parse("/(a{1000}){1000}/").is_err());
}

/// A filter that is one, and what it should say of [`row`].
fn filter() -> impl Strategy<Value = (String, bool)> {
    let leaf = prop_oneof![
        (0..10_000_u32).prop_map(|n| (format!("port:{n}"), n == 5000)),
        (0..6_u32).prop_map(|n| (format!("stalls>={n}"), 3 >= n)),
        Just(("comm:sock".to_owned(), true)),
        Just(("state=open".to_owned(), false)),
        Just(("pid>0".to_owned(), false)),
        Just(("pid=-".to_owned(), true)),
    ];
    leaf.prop_recursive(5, 32, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a} and {b})"), x && y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a} {b})"), x && y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a} or {b})"), x || y)),
            inner.prop_map(|(a, x)| (format!("not {a}"), !x)),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_answered(text in any::<String>()) {
        if let Err(error) = Query::parse(&text) {
            prop_assert!(error.at <= text.chars().count());
            prop_assert!(!error.what.is_empty() && !error.what.contains('\n'));
        }
    }

    #[test]
    fn whatever_looks_like_a_filter_is_answered(
        text in r#"((port|comm|tx|open|x)?[:=<>~!]{0,2}("[a-z]*"?|/[a-z(]*/?|[0-9.]{1,3}[a-z]{0,3})? ?(and|or|not|[()])? ?){0,6}"#
    ) {
        match Query::parse(&text) {
            Err(error) => prop_assert!(error.at <= text.chars().count()),
            Ok(query) => { let _ = query.map(|query| query.matches(&row())); }
        }
    }

    #[test]
    fn filters_mean_what_they_say((text, truth) in filter()) {
        prop_assert_eq!(holds(&text), truth, "{}", text);
    }

    #[test]
    fn a_value_in_quotes_is_taken_as_it_is(value in r"[a-zA-Z0-9 :=()<>/&|!é-]{1,20}") {
        let query = Query::parse(&format!("comm=\"{value}\"")).unwrap().unwrap();
        let same = Made::default().with(Field::Comm, Value::Text(Cow::Owned(value)));
        prop_assert!(query.matches(&same));
    }
}
