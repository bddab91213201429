//! Checks documents without a daemon, and shows what is wrong in its place.

use deployd_config::{DocumentError, Folder, SourceFile, read};
use serde_json::json;

use super::{Context, sources};
use crate::args::ValidateArgs;
use crate::error::CliError;
use crate::exit;
use crate::output::{Output, Paint, Tone, clean, counted};

/// The longest line of a source that is shown.
const LINE_CHARS_MAX: usize = 160;

pub(super) fn validate(context: &mut Context<'_>, args: &ValidateArgs) -> Result<u8, CliError> {
    let files = sources::documents(context, &args.files)?;
    let (count, errors) = match read(&files, &Folder) {
        Ok(documents) => (documents.len(), Vec::new()),
        Err(errors) => (0, errors),
    };
    let output = &mut *context.output;
    let code = if errors.is_empty() { exit::OK } else { exit::INVALID };
    if !output.is_human() {
        let document = json!({
            "valid": errors.is_empty(),
            "files": files.len(),
            "documents": count,
            "errors": errors,
        });
        output.document(&document)?;
        return Ok(code);
    }
    if errors.is_empty() {
        let text = format!(
            "valid: {} in {}",
            counted(count as u64, "document"),
            counted(files.len() as u64, "file")
        );
        let text = output.paint.tone(Tone::Good, text);
        output.note(text)?;
        return Ok(code);
    }
    tell(output, &files, &errors)?;
    Ok(code)
}

fn tell(
    output: &mut Output,
    files: &[SourceFile],
    errors: &[DocumentError],
) -> Result<(), CliError> {
    let (paint, terminal) = (output.paint, output.terminal);
    for error in errors {
        let shown = terminal.then(|| excerpt(files, &error.file, error.line, error.column, paint));
        output.line(with_excerpt(&error.to_string(), shown.flatten()))?;
    }
    let files = errors.iter().map(|error| &error.file).collect::<std::collections::BTreeSet<_>>();
    let (errors, files) = (errors.len() as u64, files.len() as u64);
    output.note(format!("{} in {}", counted(errors, "error"), counted(files, "file")))
}

/// A message with the place that it is about, before its help.
pub(super) fn with_excerpt(message: &str, excerpt: Option<String>) -> String {
    let Some(excerpt) = excerpt else { return clean(message) };
    match message.split_once('\n') {
        Some((first, help)) => format!("{}\n{excerpt}\n{}", clean(first), clean(help)),
        None => format!("{}\n{excerpt}", clean(message)),
    }
}

/// A line of a file, and a caret below the place.
pub(super) fn excerpt(
    files: &[SourceFile],
    file: &str,
    line: usize,
    column: usize,
    paint: Paint,
) -> Option<String> {
    let file = files.iter().find(|source| source.path == file)?;
    let text = file.text.lines().nth(line.checked_sub(1)?)?;
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    // Tabs would put the caret elsewhere than its place.
    let shown: String = text.chars().take(LINE_CHARS_MAX).collect();
    let shown = clean(&shown).replace('\t', " ");
    let before = column.saturating_sub(1);
    let mut lines = format!("  {} {shown}", paint.tone(Tone::Dim, format!("{number} |")));
    if column > 0 && before <= shown.chars().count() {
        let caret = format!("{}{}", " ".repeat(before), paint.tone(Tone::Bad, "^"));
        lines.push_str(&format!("\n  {} {caret}", paint.tone(Tone::Dim, format!("{gutter} |"))));
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_below_its_place() {
        let file = SourceFile { path: "a.yaml".into(), text: "one\n\tkind: X\nlast".into() };
        let files = [file];
        let at = |line, column| excerpt(&files, "a.yaml", line, column, Paint::new(false));
        assert_eq!(at(2, 8).unwrap(), "  2 |  kind: X\n    |        ^");
        assert_eq!(at(3, 5).unwrap(), "  3 | last\n    |     ^");
        assert_eq!(at(3, 99).unwrap(), "  3 | last");
        for (line, column) in [(0, 0), (4, 1)] {
            assert_eq!(at(line, column), None);
        }
        assert_eq!(excerpt(&files, "b.yaml", 1, 1, Paint::new(false)), None);
        let text = with_excerpt("a.yaml:3:1: wrong\n    help: right", at(3, 1));
        assert_eq!(text, "a.yaml:3:1: wrong\n  3 | last\n    | ^\n    help: right");
    }
}
