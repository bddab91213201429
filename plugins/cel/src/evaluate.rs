//! Asks each rule for each part of the input that it is for.

use crate::asked::{self, Asked, Each};
use crate::expression::{Held, Read, value};
use crate::params::{Params, Rule};
use crate::patterns;
use cel::{Context, Value};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::policy::Violation;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Violations of a rule that are told one by one: who breaks it more often hears of
/// the others by their number. All rules together stay within what the daemon takes.
const TOLD_MAX: usize = 12;

/// A rule with its expressions read.
struct Ready<'a> {
    rule: &'a Rule,
    when: Option<Read>,
    expression: Read,
    message: Option<Read>,
}

impl<'a> Ready<'a> {
    fn new((at, rule): (usize, &'a Rule)) -> Result<Self, Fault> {
        let read = |field: &str, text: &str| Read::new(text, format!("/params/rules/{at}/{field}"));
        Ok(Self {
            rule,
            when: rule.when.as_deref().map(|text| read("when", text)).transpose()?,
            expression: read("expression", &rule.expression)?,
            message: rule
                .message_expression
                .as_deref()
                .map(|text| read("messageExpression", text))
                .transpose()?,
        })
    }
}

/// All violations, in the order of the rules.
pub(crate) fn evaluate(
    input: &serde_json::Value,
    params: &Params,
) -> Result<Vec<Violation>, Fault> {
    let rules: Vec<Ready<'_>> =
        params.rules.iter().enumerate().map(Ready::new).collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    for (at, rule) in params.rules.iter().enumerate() {
        if !names.insert(&rule.name) {
            let message = format!("two rules are called {:?}; expected one name each", rule.name);
            return Err(Fault::invalid(format!("/params/rules/{at}/name"), message));
        }
    }
    let constants: HashMap<String, Value> =
        params.constants.iter().map(|(name, of)| (name.clone(), value(of))).collect();
    let mut context = Context::default();
    patterns::add(&mut context);
    let whole = value(input);
    for field in ["environment", "now"] {
        let of = input.get(field).map_or(Value::Null, value);
        context.add_variable_from_value(field, of);
    }
    context.add_variable_from_value("input", whole);
    context.add_variable_from_value("constants", Value::from(constants));
    // Several rules are asked for the same parts, and several containers are in the
    // same object: each is made a value once, and shared.
    let mut values = Values::new();
    let mut parts: BTreeMap<Each, Vec<Part>> = BTreeMap::new();
    let mut violations = Vec::new();
    for ready in &rules {
        let each = ready.rule.each;
        let parts = parts.entry(each).or_insert_with(|| parts_of(each, input, &mut values));
        violations.extend(of_rule(ready, parts, &context)?);
    }
    Ok(violations)
}

/// A part of the input, as expressions see it.
struct Part {
    path: String,
    named: Vec<(&'static str, Value)>,
}

/// Values by the place in memory of what they are of.
type Values = HashMap<*const serde_json::Value, Value>;

fn parts_of(each: Each, input: &serde_json::Value, values: &mut Values) -> Vec<Part> {
    let mut of = |one: &serde_json::Value| {
        values.entry(std::ptr::from_ref(one)).or_insert_with(|| value(one)).clone()
    };
    let mut part = |Asked { path, named }: Asked<'_>| Part {
        path,
        named: named.into_iter().map(|(name, one)| (name, of(one))).collect(),
    };
    asked::all(each, input).into_iter().map(&mut part).collect()
}

/// The violations of one rule.
fn of_rule(
    ready: &Ready<'_>,
    parts: &[Part],
    context: &Context<'_, '_>,
) -> Result<Vec<Violation>, Fault> {
    let mut violations: Vec<Violation> = Vec::new();
    let mut more = 0_usize;
    for part in parts {
        let Some(violation) = of_part(ready, part, context)? else { continue };
        if violations.len() < TOLD_MAX {
            violations.push(violation);
        } else {
            more += 1;
        }
    }
    if more > 0
        && let Some(last) = violations.last_mut()
    {
        last.message.push_str(&format!(" (and so in {more} more places)"));
    }
    Ok(violations)
}

/// Whether a rule may speak of something: in a text, or as a part of another name, is
/// enough.
fn mentions(rule: &Rule, name: &str) -> bool {
    let texts = [Some(&rule.expression), rule.when.as_ref(), rule.message_expression.as_ref()];
    texts.into_iter().flatten().any(|text| text.contains(name))
}

/// What a rule says of one part.
fn of_part(
    ready: &Ready<'_>,
    part: &Part,
    context: &Context<'_, '_>,
) -> Result<Option<Violation>, Fault> {
    let mut inner = context.new_inner_scope();
    // What is bound is copied: an object is, for each of its containers.
    for (name, of) in part.named.iter().filter(|(name, _)| mentions(ready.rule, name)) {
        inner.add_variable_from_value(*name, of.clone());
    }
    if let Some(when) = &ready.when
        && !matches!(when.holds(&inner)?, Held::Yes)
    {
        return Ok(None);
    }
    let why = match ready.expression.holds(&inner)? {
        Held::Yes => return Ok(None),
        Held::No => None,
        Held::Unknown(why) => Some(why),
    };
    let rule = ready.rule;
    let message = ready.message.as_ref().and_then(|message| message.text(&inner));
    let mut message = message.unwrap_or_else(|| rule.message.clone());
    if let Some(why) = why {
        message.push_str(&format!(" (it can't be told: {why})"));
    }
    let path = format!("{}{}", part.path, rule.path);
    Ok(Some(Violation { rule: rule.name.clone(), severity: rule.severity, path, message }))
}
