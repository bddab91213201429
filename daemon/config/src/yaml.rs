//! Reading YAML 1.2, and with it JSON, into trees with places.
//!
//! What YAML has beyond JSON is taken as follows. Anchors and aliases work, up
//! to a limit. Merge keys (`<<`) are refused: they are no part of YAML 1.2,
//! and a field that stands elsewhere has no line of its own. Tags are refused
//! but for those of the core schema. Keys are strings; a number or boolean as a
//! key is taken as it is written. The same key twice is an error.

mod build;
mod json;
mod tags;

use saphyr_parser::{Event, Parser};

use crate::limits::{DEPTH_MAX, DOCUMENTS_MAX, NODES_MAX};
use crate::node::{Node, Position};
use crate::path::Path;
use crate::problem::Problem;
use build::Builder;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The document.
    pub(crate) root: Node,
    /// What is wrong with it as YAML; the tree holds the rest.
    pub(crate) problems: Vec<Problem>,
}

/// How much of a file is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Documents.
    pub(crate) documents: usize,
    /// Values, those that aliases repeat counted each time.
    pub(crate) nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { documents: DOCUMENTS_MAX, nodes: NODES_MAX }
    }
}

/// Reads a file of documents.
pub(crate) fn parse(text: &str) -> (Vec<Parsed>, Option<Problem>) {
    parse_within(text, Limits::default())
}

/// Reads a file. The problem at the end is why the rest of it can't be read; a
/// file with too many documents is refused as a whole.
pub(crate) fn parse_within(text: &str, limits: Limits) -> (Vec<Parsed>, Option<Problem>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = &*json::whole_characters(text);
    let mut documents = Vec::new();
    let mut builder = Builder::new(limits.nodes);
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => return (documents, Some(malformed(&error))),
        };
        let at = position(span.start);
        let taken = match event {
            Event::Scalar(text, style, anchor, tag) => {
                builder.scalar(at, &text, style, anchor, tag.as_deref())
            }
            Event::Alias(anchor) => builder.alias(at, anchor),
            Event::SequenceStart(anchor, tag) => builder.open(at, false, anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => builder.open(at, true, anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => builder.close(),
            Event::DocumentEnd => {
                documents.extend(builder.finish());
                if documents.len() > limits.documents {
                    let at = documents.last().map_or(at, |last: &Parsed| last.root.at);
                    let expected = format!("at most {} documents in a file", limits.documents);
                    let problem = Problem::at_value(Path::default(), "more documents", expected);
                    return (Vec::new(), Some(problem.placed(at)));
                }
                Ok(())
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::Nothing => {
                Ok(())
            }
        };
        if let Err(problem) = taken {
            return (documents, Some(*problem));
        }
    }
    (documents, None)
}

fn position(marker: saphyr_parser::Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn malformed(error: &saphyr_parser::ScanError) -> Problem {
    let info = error.info();
    // Another limit than ours, reached on the same way.
    let found = if info.contains("recursion limit") {
        format!("more than {DEPTH_MAX} maps and lists within each other")
    } else {
        format!("text that is no YAML ({})", crate::shown::shorten(info))
    };
    let hint =
        info.contains("tab").then_some("YAML is indented with spaces; tabs are not allowed there");
    Problem::at_value(Path::default(), found, "a YAML or JSON document")
        .placed(position(*error.marker()))
        .hint(hint)
}
