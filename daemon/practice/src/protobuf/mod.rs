//! Bodies in protocol buffers, read as JSON. Clients generated from the built-in
//! types send them whatever the server offers; answers are always JSON, which
//! the same clients accept.
//!
//! An object comes in an envelope: four bytes `k8s\0`, then a message with its
//! version and kind and, as bytes, the object's own message.

mod wire;

use base64::Engine as _;
use serde_json::{Map, Number, Value, json};
use wire::{Fields, Payload, varint};

use crate::schema::{Field, Scalar, Struct, Type, builtin, builtin_names};

/// The media type of such bodies.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Deeper messages are refused.
const DEEPEST: usize = 128;

/// Reads an object.
///
/// # Errors
///
/// When the bytes are no envelope with a message of a built-in type.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let message = bytes.strip_prefix(MAGIC).ok_or(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
    )?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), [].as_slice());
    let mut fields = Fields::of(message);
    while let Some((number, payload)) = fields.next()? {
        match (number, payload) {
            (1, Payload::Bytes(head)) => {
                let mut head = Fields::of(head);
                while let Some((number, payload)) = head.next()? {
                    match (number, payload) {
                        (1, Payload::Bytes(bytes)) => version = text(bytes)?,
                        (2, Payload::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = builtin_names()
        .find(|name| *name == kind)
        .ok_or_else(|| format!("no kind \"{kind}\" is registered for version \"{version}\""))?;
    let mut object = value(&Type::Named(name), Payload::Bytes(raw), 0)?;
    for (field, text) in [("apiVersion", version), ("kind", kind)] {
        crate::json::put(&mut object, &[field], text);
    }
    Ok(object)
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "proto: invalid UTF-8".to_owned())
}

/// A message as an object with the fields of its type.
fn message(of: &Struct, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let mut found = Map::new();
    fields_into(&mut found, of, bytes, &[], depth)?;
    found.retain(|_, value| !value.is_null());
    Ok(Value::Object(found))
}

/// Reads the fields of a message, or of one inside it whose fields JSON has in
/// the outer object.
fn fields_into(
    found: &mut Map<String, Value>,
    of: &Struct,
    bytes: &[u8],
    inside: &[u32],
    depth: usize,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("proto: exceeded max depth".to_owned());
    }
    let mut fields = Fields::of(bytes);
    while let Some((number, payload)) = fields.next()? {
        let path = [inside, &[number]].concat();
        if let Some((name, field)) = of.fields.iter().find(|(_, field)| field.numbers == path) {
            add(found, name, field, payload, depth)?;
        } else if let Payload::Bytes(below) = payload
            && of.fields.values().any(|field| field.numbers.starts_with(&path))
        {
            fields_into(found, of, below, &path, depth + 1)?;
        }
    }
    Ok(())
}

fn add(
    found: &mut Map<String, Value>,
    name: &str,
    field: &Field,
    payload: Payload<'_>,
    depth: usize,
) -> Result<(), String> {
    match (&field.ty, payload) {
        (Type::List { of, .. }, payload) => {
            let mut items = match found.remove(name) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            };
            match (&**of, payload) {
                // Numbers come packed, several at once.
                (Type::Scalar(Scalar::Int | Scalar::Long), Payload::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        items.push(signed(varint(&mut packed)?));
                    }
                }
                (of, payload) => items.push(value(of, payload, depth + 1)?),
            }
            found.insert(name.to_owned(), Value::Array(items));
        }
        (Type::Map { of, .. }, Payload::Bytes(entry)) => {
            let (mut key, mut content) = (String::new(), None);
            let mut fields = Fields::of(entry);
            while let Some((number, payload)) = fields.next()? {
                match (number, payload) {
                    (1, Payload::Bytes(bytes)) => key = text(bytes)?,
                    (2, payload) => content = Some(value(of, payload, depth + 1)?),
                    _ => {}
                }
            }
            let content = match content {
                Some(content) => content,
                None => value(of, Payload::Bytes(&[]), depth + 1)?,
            };
            let entries = found.entry(name).or_insert_with(|| json!({}));
            crate::json::put(entries, &[&key], content);
        }
        (ty, payload) => {
            found.insert(name.to_owned(), value(ty, payload, depth + 1)?);
        }
    }
    Ok(())
}

fn signed(number: u64) -> Value {
    Value::from(number.cast_signed())
}

fn value(ty: &Type, payload: Payload<'_>, depth: usize) -> Result<Value, String> {
    let wrong = || Err("proto: wrong wireType".to_owned());
    Ok(match (ty, payload) {
        (Type::Named(name), Payload::Bytes(bytes)) => match builtin(name) {
            Some(of) => message(of, bytes, depth)?,
            None => Value::Null,
        },
        (Type::Struct(of), Payload::Bytes(bytes)) => message(of, bytes, depth)?,
        (Type::Scalar(Scalar::Bool), Payload::Varint(number)) => Value::from(number != 0),
        (Type::Scalar(Scalar::Int | Scalar::Long), Payload::Varint(number)) => signed(number),
        (Type::Scalar(Scalar::Number), Payload::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
        }
        (Type::Scalar(Scalar::Number), Payload::Fixed32(bits)) => {
            Number::from_f64(f64::from(f32::from_bits(bits))).map_or(Value::Null, Value::Number)
        }
        (Type::Scalar(Scalar::Text), Payload::Bytes(bytes)) => Value::from(text(bytes)?),
        (Type::Scalar(Scalar::Bytes), Payload::Bytes(bytes)) => {
            Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        (Type::Scalar(Scalar::Quantity), Payload::Bytes(bytes)) => {
            one(bytes, 1)?.unwrap_or(json!("0"))
        }
        (Type::Scalar(Scalar::IntOrText), Payload::Bytes(bytes)) => int_or_text(bytes)?,
        (Type::Scalar(Scalar::Time), Payload::Bytes(bytes)) => time(bytes)?,
        // JSON inside: the fields of an owner, the data of a revision.
        (Type::Any, Payload::Bytes(bytes)) => {
            let mut fields = Fields::of(bytes);
            while let Some((number, payload)) = fields.next()? {
                if let (1, Payload::Bytes(raw)) = (number, payload) {
                    return serde_json::from_slice(raw).map_err(|error| error.to_string());
                }
            }
            Value::Null
        }
        // A list inside a map is a message with the items.
        (Type::List { of, .. }, Payload::Bytes(bytes)) => {
            let mut items = Vec::new();
            let mut fields = Fields::of(bytes);
            while let Some((_, payload)) = fields.next()? {
                items.push(value(of, payload, depth + 1)?);
            }
            Value::Array(items)
        }
        _ => return wrong(),
    })
}

/// The text in one field of a message.
fn one(bytes: &[u8], wanted: u32) -> Result<Option<Value>, String> {
    let mut fields = Fields::of(bytes);
    while let Some((number, payload)) = fields.next()? {
        if let Payload::Bytes(bytes) = payload
            && number == wanted
        {
            return Ok(Some(Value::from(text(bytes)?)));
        }
    }
    Ok(None)
}

fn numbers(bytes: &[u8]) -> Result<[i64; 2], String> {
    let mut found = [0, 0];
    let mut fields = Fields::of(bytes);
    while let Some((number, payload)) = fields.next()? {
        if let (Payload::Varint(value), Some(place)) =
            (payload, usize::try_from(number).ok().and_then(|n| found.get_mut(n.wrapping_sub(1))))
        {
            *place = value.cast_signed();
        }
    }
    Ok(found)
}

fn int_or_text(bytes: &[u8]) -> Result<Value, String> {
    let [kind, number] = numbers(bytes)?;
    Ok(if kind == 0 { Value::from(number) } else { one(bytes, 3)?.unwrap_or_else(|| json!("")) })
}

fn time(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let [seconds, nanos] = numbers(bytes)?;
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let found = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    let form = if nanos == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    Ok(Value::from(found.strftime(form).to_string()))
}

#[cfg(test)]
mod tests;
