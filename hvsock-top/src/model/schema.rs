//! The JSON Schemas of what the tool prints.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};

use super::{LifecycleEvent, Snapshot, doctor::Doctor};

/// The schema of a Snapshot.
pub fn snapshot() -> Schema {
    of::<Snapshot>()
}

/// The schema of a lifecycle event.
pub fn event() -> Schema {
    of::<LifecycleEvent>()
}

/// The schema of doctor's report.
pub fn doctor() -> Schema {
    of::<Doctor>()
}

/// Of anything, as it is printed: every name is always there, and what is unknown is null.
pub fn of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_in_the_documentation_are_these() {
        for (name, option, schema) in
            [("snapshot", "json", snapshot()), ("event", "events", event()), ("doctor", "doctor", doctor())]
        {
            let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            assert_eq!(
                kept,
                serde_json::to_value(&schema).unwrap(),
                "make it anew: cargo run -p hvsock-top -- {option} --schema > docs/schema/{name}.json"
            );
        }
    }

    #[test]
    fn every_name_is_always_there() {
        let schema = serde_json::to_value(snapshot()).unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(required.contains(&"interval_ns".into()), "{required:?}");
        assert!(schema["$defs"]["Totals"]["required"].as_array().unwrap().contains(&"tx_bytes".into()));
    }
}
