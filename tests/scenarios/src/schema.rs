//! The JSON Schemas of `docs/schema`: whatever hvsock-top prints in any scenario must be what they say, no more and no less.

use std::sync::LazyLock;

use anyhow::{Context as _, Result, bail};
use jsonschema::Validator;
use serde_json::Value;

/// A schema, made strict.
pub(crate) struct Schema(Result<Validator, String>);

/// Snapshots.
pub(crate) static SNAPSHOT: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/snapshot.json")));

/// Events.
pub(crate) static EVENT: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/event.json")));

/// Doctor's reports.
pub(crate) static DOCTOR: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/doctor.json")));

/// Reports of the lookup laboratory.
pub(crate) static LAB: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/lookup-lab.json")));

/// Reports of the experiment with the lookups.
pub(crate) static EXPERIMENT: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/lookup-experiment.json")));

/// Reports of the lookup in the running kernel.
pub(crate) static LOOKUP: LazyLock<Schema> =
    LazyLock::new(|| Schema::of(include_str!("../../../docs/schema/lookup-live.json")));

impl Schema {
    fn of(text: &str) -> Self {
        let build = || -> Result<Validator> {
            let mut schema = serde_json::from_str(text)?;
            close(&mut schema);
            jsonschema::validator_for(&schema).map_err(|e| anyhow::anyhow!("not a schema: {e}"))
        };
        Self(build().map_err(|e| e.to_string()))
    }

    /// JSON that is as the schema says.
    pub(crate) fn parse(&self, text: &str) -> Result<Value> {
        let value = serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))?;
        let validator = match &self.0 {
            Ok(validator) => validator,
            Err(error) => bail!("{error}"),
        };
        if let Some(error) = validator.iter_errors(&value).next() {
            bail!("not as the schema says, at {}: {error}", error.instance_path());
        }
        Ok(value)
    }
}

/// Forbids members that the schema does not name. The published one allows them, so that later versions may add some.
fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
        && !object.contains_key("additionalProperties")
    {
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(close),
        Value::Array(array) => array.iter_mut().for_each(close),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_refuses_what_it_does_not_name() {
        let schema = Schema::of(
            r#"{"type":"object","properties":{"a":{"type":["integer","null"]},"properties":{"type":"object"}},"required":["a"]}"#,
        );
        assert!(schema.parse(r#"{"a":1}"#).is_ok());
        assert!(schema.parse(r#"{"a":null}"#).is_ok());
        for wrong in [r#"{"a":"1"}"#, "{}", r#"{"a":1,"b":2}"#, "{", "[]"] {
            assert!(schema.parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_schemas_are_schemas() {
        for schema in [&SNAPSHOT, &EVENT, &DOCTOR] {
            assert!(schema.0.is_ok(), "{:?}", schema.0.as_ref().err());
            assert!(schema.parse("{}").is_err(), "something is required");
        }
    }
}
