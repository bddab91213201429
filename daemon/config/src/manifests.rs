//! Kubernetes manifests: objects with their places, as people keep them in
//! repositories, as Kustomize and Helm write them, and as clusters show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deployd_core::adopt::Source;
use serde_json::{Map, Value};

use crate::error::DocumentError;
use crate::limits::{
    ERRORS_MAX, FILES_MAX, MANIFEST_DOCUMENTS_MAX, MANIFEST_NODES_MAX, TOTAL_BYTES_MAX,
};
use crate::node::{Data, Node};
use crate::path::Path;
use crate::problem::Problem;
use crate::read::SourceFile;
use crate::shown;
use crate::yaml::{self, Limits};

/// Lists within lists: `kubectl` writes one.
const LISTS_MAX: usize = 3;

const LIMITS: Limits = Limits { documents: MANIFEST_DOCUMENTS_MAX, nodes: MANIFEST_NODES_MAX };

/// Reads the objects of files, or says all that is wrong with them.
///
/// Lists are opened. Numbers that begin with 0 are octal, as `kubectl` reads them. What is
/// text in the `data` of a Secret comes as `stringData`. Fails where something is no
/// object of Kubernetes, or has no name, and where more is given than is ever read.
pub fn manifests(files: &[SourceFile]) -> Result<Vec<Source>, Vec<DocumentError>> {
    let too_much = within_limits(files);
    if !too_much.is_empty() {
        return Err(too_much);
    }
    let mut sources = Vec::new();
    let mut errors = Vec::new();
    for file in files {
        let (documents, rest) = yaml::parse_within(&file.text, LIMITS);
        for parsed in documents {
            let wrong = parsed.problems.into_iter();
            errors.extend(wrong.map(|problem| problem.into_error(&file.path, None, None)));
            open(&file.path, &parsed.root, LISTS_MAX, &mut sources, &mut errors);
        }
        errors.extend(rest.map(|problem| problem.into_error(&file.path, None, None)));
        if errors.len() > ERRORS_MAX {
            break;
        }
    }
    errors.truncate(ERRORS_MAX);
    if errors.is_empty() { Ok(sources) } else { Err(errors) }
}

fn within_limits(files: &[SourceFile]) -> Vec<DocumentError> {
    let error = |file: &SourceFile, found: String, expected: String| {
        Problem::at_value(Path::default(), found, expected).into_error(&file.path, None, None)
    };
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    let many = files
        .get(FILES_MAX)
        .map(|file| error(file, format!("{} files", files.len()), format!("at most {FILES_MAX}")));
    let large = files.last().filter(|_| bytes > TOTAL_BYTES_MAX).map(|file| {
        let expected = format!("at most {TOTAL_BYTES_MAX} bytes in all files together");
        error(file, format!("{bytes} bytes"), expected)
    });
    many.into_iter().chain(large).collect()
}

fn open(
    file: &str,
    node: &Node,
    lists: usize,
    sources: &mut Vec<Source>,
    errors: &mut Vec<DocumentError>,
) {
    let problem = match wrong(node) {
        Some(problem) => problem,
        None => match items(node) {
            Some(items) if lists > 0 => {
                for item in items {
                    open(file, item, lists.saturating_sub(1), sources, errors);
                }
                return;
            }
            Some(_) => {
                let found = format!("more than {LISTS_MAX} lists within each other");
                Problem::at_value(Path::of(["items"]), found, "objects")
            }
            None => match unnamed(node) {
                Some(problem) => problem,
                None => {
                    let place = format!("{file}:{}", node.at.line);
                    let mut object = as_kubectl_reads(node);
                    readable(&mut object);
                    sources.push(Source { object, place });
                    return;
                }
            },
        },
    };
    if errors.len() <= ERRORS_MAX {
        errors.push(problem.into_error(file, None, Some(node)));
    }
}

/// The items of a list of objects.
fn items(node: &Node) -> Option<&[Node]> {
    let kind = node.get("kind").and_then(Node::as_str)?;
    match node.get("items").map(|items| &items.data) {
        Some(Data::List(items)) if kind.ends_with("List") => Some(items),
        _ => None,
    }
}

/// What is wrong with something as an object of Kubernetes, if anything.
fn wrong(node: &Node) -> Option<Problem> {
    let expected = "an object of Kubernetes, with apiVersion and kind";
    if !matches!(node.data, Data::Map(_)) {
        let found = shown::value(&node.to_value(), None);
        return Some(Problem::at_value(Path::default(), found, expected));
    }
    for field in ["apiVersion", "kind"] {
        let text = node.get(field).and_then(Node::as_str).filter(|text| !text.is_empty());
        let path = Path::of([field]);
        let Some(text) = text else {
            let found = node.get(field).map(|node| shown::value(&node.to_value(), None));
            let found = found.unwrap_or_else(|| "nothing".to_owned());
            return Some(Problem::at_value(path, found, expected));
        };
        let hint = match text.split('/').next().unwrap_or_default() {
            "kustomize.config.k8s.io" => {
                "have Kustomize build it: `kustomize build DIRECTORY | deployd import --manifests -`"
            }
            "deployd.dev" | "score.dev" => {
                "it is a document of deployd's already: `deployd apply` takes it"
            }
            _ => continue,
        };
        return Some(Problem::at_value(path, shown::quoted(text), expected).hint(Some(hint)));
    }
    None
}

/// That an object has no name, if it has none.
fn unnamed(node: &Node) -> Option<Problem> {
    let metadata = node.get("metadata");
    let text = |field| metadata.and_then(|it| it.get(field)).and_then(Node::as_str);
    let named = |field| text(field).is_some_and(|text| !text.is_empty());
    if named("name") || named("generateName") {
        return None;
    }
    let found = metadata.and_then(|metadata| metadata.get("name"));
    let found = found.map(|name| shown::value(&name.to_value(), None));
    let path = Path::of(["metadata", "name"]);
    Some(Problem::at_value(path, found.unwrap_or_else(|| "nothing".to_owned()), "a name"))
}

/// The value, with numbers as YAML 1.1 has them: `0644` is octal.
fn as_kubectl_reads(node: &Node) -> Value {
    match &node.data {
        Data::Scalar { value, written: Some(written) } if value.is_u64() => {
            let octal = written.strip_prefix('0').filter(|digits| !digits.is_empty());
            let octal = octal.and_then(|digits| u64::from_str_radix(digits, 8).ok());
            octal.map_or_else(|| value.clone(), Value::from)
        }
        Data::Scalar { value, .. } => value.clone(),
        Data::List(items) => items.iter().map(as_kubectl_reads).collect(),
        Data::Map(entries) => {
            let field =
                |entry: &crate::node::Entry| (entry.key.clone(), as_kubectl_reads(&entry.value));
            Value::Object(entries.iter().map(field).collect())
        }
    }
}

/// Has the texts among a Secret's values as `stringData`; what is none stays in `data`.
fn readable(object: &mut Value) {
    let is = |field: &str, text: &str| object.get(field).and_then(Value::as_str) == Some(text);
    if !is("kind", "Secret") || !is("apiVersion", "v1") {
        return;
    }
    let Some(fields) = object.as_object_mut() else { return };
    let Some(Value::Object(data)) = fields.remove("data") else { return };
    let mut texts = Map::new();
    let mut rest = Map::new();
    for (key, value) in data {
        let encoded: Option<String> =
            value.as_str().map(|text| text.split_ascii_whitespace().collect());
        let bytes = encoded.and_then(|text| STANDARD.decode(text).ok());
        match bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
            Some(text) => texts.insert(key, text.into()),
            None => rest.insert(key, value),
        };
    }
    // What stands in stringData already wins, as it does for an API server.
    match fields.get_mut("stringData") {
        Some(Value::Object(given)) => {
            for (key, text) in texts {
                given.entry(key).or_insert(text);
            }
        }
        Some(_) => rest.extend(texts),
        None => {
            fields.insert("stringData".to_owned(), texts.into());
        }
    }
    if !rest.is_empty() {
        fields.insert("data".to_owned(), rest.into());
    }
}
