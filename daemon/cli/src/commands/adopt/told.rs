//! What people are told of a proposal.

use deployd_core::Fault;
use deployd_core::adopt::{Compared, Note, Outcome, Place, Placed};
use deployd_core::compare::FieldChange;
use serde_json::{Value, json};

use super::Proposal;
use crate::args::AdoptArgs;
use crate::error::CliError;
use crate::output::{Output, Tone, clean, counted};

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 60;

/// What holds for all that is taken over.
const ALWAYS: [&str; 3] = [
    "deployd marks what it applies with the label `app.kubernetes.io/managed-by: deployd`, and objects of workloads with `deployd.dev/workload`, on the objects and not on their pods: no pod is exchanged because of them. `takeOverFields` lets it take fields over from who applied them before; stop that one (Helm, Argo CD, a pipeline) before the first deployment.",
    "Selectors stay as they are, since a cluster refuses others. Without the label `deployd.dev/track: stable` in selectors and pods a workload has no tracks: `rolling` replaces it as a whole, `canary` and `blue-green` need a Deployment that is made anew.",
    "`deployd env delete` takes away what it has applied, also what was there before. The namespace stays, unless it is among the objects.",
];

/// Tells what was proposed and how it is rendered.
pub(super) fn tell(
    args: &AdoptArgs,
    proposal: &Proposal,
    compared: Result<&[Compared], &Fault>,
    written: Option<usize>,
    output: &mut Output,
) -> Result<(), CliError> {
    let adoption = &proposal.adoption;
    if !output.is_human() {
        let files: Vec<&String> = proposal.files.iter().map(|(path, _)| path).collect();
        return output.document(&json!({
            "environment": proposal.options.environment,
            "namespace": proposal.options.namespace,
            "placed": adoption.placed,
            "notes": adoption.notes,
            "secrets": adoption.secrets,
            "compared": compared.ok(),
            "notCompared": compared.err(),
            "files": files,
        }));
    }
    for placed in &adoption.placed {
        let (tone, text) = described(placed);
        output.line(output.paint.tone(tone, clean(&format!("{}: {text}", named(placed)))))?;
    }
    for note in &adoption.notes {
        output.line(output.paint.tone(Tone::Warn, clean(&format!("note: {}", noted(note)))))?;
    }
    output.line("")?;
    match compared {
        Ok(compared) => {
            for it in compared {
                for line in differences(it) {
                    output.line(output.paint.tone(Tone::Bad, clean(&line)))?;
                }
            }
            output.line(clean(&summary(compared)))?;
        }
        Err(fault) => {
            let text = format!("not rendered, and so not compared: {}", fault.message);
            output.line(output.paint.tone(Tone::Bad, clean(&text)))?;
        }
    }
    let secrets = adoption.secrets.len() + 1;
    match (&args.options.out, written) {
        (Some(folder), Some(files)) => {
            let folder = folder.display();
            output.line(format!(
                "written to {folder}: {}; `{folder}/secrets.sh` sets {}, then `deployd apply -f {folder}/config -f {folder}/score` and `deployd plan {}`",
                counted(files as u64, "file"),
                counted(secrets as u64, "secret"),
                proposal.options.environment,
            ))
        }
        _ => output.note("nothing was written: --out says where to"),
    }
}

/// The same as a file, with what holds for all.
pub(super) fn notes(proposal: &Proposal, compared: Result<&[Compared], &Fault>) -> String {
    let adoption = &proposal.adoption;
    let of = &proposal.options;
    let mut text = format!("# {} in the namespace {}\n\n", of.environment, of.namespace);
    let mut part = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("## {title}\n\n"));
            for line in lines {
                text.push_str(&format!("- {}\n", clean(&line)));
            }
            text.push('\n');
        }
    };
    let rendered = match compared {
        Ok(compared) => {
            let mut lines = vec![summary(compared)];
            lines.extend(compared.iter().flat_map(differences));
            lines
        }
        Err(fault) => vec![format!("not rendered, and so not compared: {}", fault.message)],
    };
    part("What it renders", rendered);
    part(
        "What could not be expressed, or is different",
        adoption.notes.iter().map(noted).collect(),
    );
    part("What holds for all of it", ALWAYS.map(str::to_owned).to_vec());
    let lines = |wanted: fn(&Place) -> bool| {
        let placed = adoption.placed.iter().filter(|placed| wanted(&placed.to));
        placed.map(|placed| format!("{}: {}", named(placed), described(placed).1)).collect()
    };
    part(
        "Where it is",
        lines(|to| matches!(to, Place::Workload { .. } | Place::Definition { .. })),
    );
    part("What is not carried over", lines(|to| matches!(to, Place::NotCarriedOver { .. })));
    part("What is left out", lines(|to| matches!(to, Place::LeftOut { .. })));
    text
}

fn named(placed: &Placed) -> String {
    format!("{} {} ({})", placed.object.kind, placed.object.name, placed.place)
}

fn described(placed: &Placed) -> (Tone, String) {
    match &placed.to {
        Place::Workload { workload, besides } if besides.is_empty() => {
            (Tone::Good, format!("score/{workload}.yaml"))
        }
        Place::Workload { workload, besides } => {
            let besides = besides.join(", ");
            let text = format!(
                "score/{workload}.yaml; in `adopted.{workload}` of config/environment.yaml: {besides}"
            );
            (Tone::Good, text)
        }
        Place::Definition { definition } => {
            (Tone::Good, format!("config/resources/{definition}.yaml"))
        }
        Place::LeftOut { why } => (Tone::Dim, format!("left out: {why}")),
        Place::NotCarriedOver { why, advice } => {
            (Tone::Warn, format!("not carried over: {why}; {advice}"))
        }
    }
}

fn noted(note: &Note) -> String {
    let object = note.object.as_ref().map(|object| format!("{} {}", object.kind, object.name));
    let object = object.unwrap_or_default();
    let field = if note.field.is_empty() { String::new() } else { format!(", {}", note.field) };
    format!("{object} ({}){field}: {}; {}", note.place, note.why, note.advice)
}

fn differences(compared: &Compared) -> Vec<String> {
    let object = format!("{} {}", compared.object.kind, compared.object.name);
    match &compared.outcome {
        Outcome::Identical => Vec::new(),
        Outcome::Added => vec![format!("{object}: was not there before")],
        Outcome::NotCarriedOver { why } => vec![format!("{object}: not carried over: {why}")],
        Outcome::Differs { fields } => {
            fields.iter().map(|field| format!("{object}: {}", changed(field))).collect()
        }
    }
}

fn changed(field: &FieldChange) -> String {
    let shown = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(value) => {
            let text = value.to_string();
            match text.char_indices().nth(VALUE_CHARS) {
                Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
                None => text,
            }
        }
    };
    format!("{} was {}, will be {}", field.path, shown(&field.from), shown(&field.to))
}

fn summary(compared: &[Compared]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        compared.iter().filter(|it| wanted(&it.outcome)).count() as u64
    };
    let added = count(|it| matches!(it, Outcome::Added));
    let mut text = format!(
        "{}: {} identical",
        counted(compared.len() as u64 - added, "object"),
        count(|it| matches!(it, Outcome::Identical)),
    );
    for (count, what) in [
        (count(|it| matches!(it, Outcome::Differs { .. })), "different"),
        (count(|it| matches!(it, Outcome::NotCarriedOver { .. })), "not carried over"),
        (added, "new"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}
