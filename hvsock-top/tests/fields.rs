//! docs/fields.md has a row for every field of the Snapshot, and for nothing else. That each scenario there proves its fields, the scenarios
//! themselves check.

use std::collections::BTreeSet;

use hvsock_common::Latency;
use hvsock_top::model::schema;
use serde_json::Value;

const TABLE: &str = include_str!("../../docs/fields.md");

#[test]
fn every_field_has_a_row() {
    let schema = schema::snapshot().to_value();
    let mut fields = BTreeSet::new();
    walk(&schema, &schema, "", &mut fields);
    assert!(fields.contains("connections[].tx.bytes") && fields.contains("accounting.*.seen"), "{fields:?}");
    fields.extend(Latency::ALL.iter().map(|which| format!("latency.{}", which.name())));
    let rows: Vec<String> = TABLE
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let unique: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(unique.len(), rows.len(), "a field has two rows");
    let without: Vec<_> = fields.difference(&unique).collect();
    assert!(without.is_empty(), "fields without a row in docs/fields.md: {without:#?}");
    let stale: Vec<_> = unique.difference(&fields).collect();
    assert!(stale.is_empty(), "rows of docs/fields.md without a field: {stale:#?}");
}

/// The paths of all values that have no names inside: `name[]` is every entry of a list of objects, `*` every member of a map.
fn walk(schema: &Value, at: &Value, path: &str, fields: &mut BTreeSet<String>) {
    let at = resolve(schema, at);
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let (members, rest, items) =
        (at["properties"].as_object(), &at["additionalProperties"], resolve(schema, &at["items"]));
    for (name, member) in members.into_iter().flatten() {
        walk(schema, member, &below(name), fields);
    }
    if rest.is_object() {
        walk(schema, rest, &below("*"), fields);
    }
    if items["properties"].is_object() {
        walk(schema, items, &format!("{path}[]"), fields);
    } else if members.is_none() && !rest.is_object() {
        fields.insert(path.to_owned());
    }
}

/// What a reference refers to, and of a choice between something and null, that something.
fn resolve<'a>(schema: &'a Value, mut at: &'a Value) -> &'a Value {
    loop {
        let choice = at["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string()));
        let reference = choice.unwrap_or(at)["$ref"].as_str();
        let Some(pointer) = reference.and_then(|text| text.strip_prefix('#')) else { return at };
        let Some(next) = schema.pointer(pointer) else { panic!("{pointer} refers to nothing") };
        at = next;
    }
}
