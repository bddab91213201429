//! Lists for spreadsheets and scripts: CSV (RFC 4180).

use crate::error::CliError;

/// Characters at which a spreadsheet begins to compute.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A list: a heading and rows of cells, all of the same length.
#[derive(Debug, Clone)]
pub struct Sheet {
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A list without rows.
    pub fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned).to_vec()] }
    }

    /// Adds a row, as long as the heading.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(harmless).to_vec());
    }

    /// As it is written.
    pub(crate) fn render(&self) -> Result<Vec<u8>, CliError> {
        let failed = |error: csv::Error| CliError::Failed(error.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in &self.rows {
            writer.write_record(row).map_err(failed)?;
        }
        writer.into_inner().map_err(|error| CliError::Failed(error.to_string()))
    }
}

/// What somebody else has written must not become a formula where it is opened.
fn harmless(cell: String) -> String {
    if cell.starts_with(FORMULA) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_compute_nothing() {
        let mut sheet = Sheet::new(["name", "comment"]);
        sheet.row(["a".into(), "with, \"quotes\"".into()]);
        sheet.row(["=1+1".into(), "@x".into()]);
        let text = String::from_utf8(sheet.render().unwrap()).unwrap();
        assert_eq!(text, "name,comment\na,\"with, \"\"quotes\"\"\"\n'=1+1,'@x\n");
    }
}
