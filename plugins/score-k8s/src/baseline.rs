//! The baseline template: the platform's, or the one shipped here.

use deployd_plugin_sdk::{Fault, discard, name};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::adopted;
use crate::rendered::Rendered;

/// What `{% extends "baseline" %}` names.
const SHIPPED: &str = "baseline";
/// What `{% extends "adopted" %}` names: for workloads that were taken over.
const ADOPTED: &str = "adopted";
const PLATFORM: &str = "platform";

/// Renders the baseline to YAML documents.
pub(crate) fn render(own: Option<&str>, context: &impl Serialize) -> Result<Rendered, Fault> {
    let mut environment = environment().map_err(|error| describe(&error))?;
    let mut name = SHIPPED;
    if let Some(own) = own {
        name = PLATFORM;
        // Read only by who may name it: reading it takes as long as a rendering.
        if own.contains(ADOPTED) {
            let text = include_str!("../adopted.yaml.j2");
            environment.add_template(ADOPTED, text).map_err(|error| describe(&error))?;
        }
        environment.add_template(PLATFORM, own).map_err(|error| describe(&error))?;
    }
    let mut rendered = Rendered::new();
    environment
        .get_template(name)
        .and_then(|template| template.render_captured_to(Serde(context), &mut rendered))
        .map(discard)
        .map_err(|error| describe(&error))?;
    discard(environment);
    Ok(rendered)
}

fn environment<'a>() -> Result<Environment<'a>, Error> {
    let mut environment = Environment::new();
    // A condition may ask for what is not there; the output may not contain it.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Every value comes out as JSON: nothing that a developer writes can change
    // the structure of a document, and "1.20" stays a text.
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_filter("dns_label", |text: String| name::dns_label(&text));
    environment.add_filter("short", |text: String| name::short(&text));
    environment.add_filter("merge", |Serde(one): Serde<Value>, Serde(two): Serde<Value>| {
        Serde(merge(one, two))
    });
    environment.add_filter(
        "adopted",
        |Serde(workload): Serde<Value>, Serde(kept): Serde<Value>| {
            adopted::objects(workload, kept).map(Serde)
        },
    );
    environment.add_template(SHIPPED, include_str!("../baseline.yaml.j2"))?;
    Ok(environment)
}

/// Objects are merged, key by key; null deletes; anything else replaces
/// (RFC 7386).
pub(crate) fn merge(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut merged = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            merged.remove(&key);
        } else {
            let old = merged.remove(&key).unwrap_or(Value::Null);
            merged.insert(key, merge(old, value));
        }
    }
    Value::Object(merged)
}

fn describe(error: &Error) -> Fault {
    let mut message = match (error.name(), error.line()) {
        (Some(SHIPPED), Some(line)) => format!("line {line} of the shipped baseline: "),
        (Some(ADOPTED), Some(line)) => format!("line {line} of the baseline \"adopted\": "),
        (_, Some(line)) => format!("line {line}: "),
        _ => String::new(),
    };
    message.push_str(&error.kind().to_string());
    if let Some(detail) = error.detail() {
        message.push_str(": ");
        message.push_str(detail);
    }
    Fault::invalid("/baseline", message)
}
