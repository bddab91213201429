//! What policies have found, as people read it.

use deployd_core::policy::{Effect, Finding, PolicyReport};

use super::view::Line;
use crate::output::{Tone, clean};

/// A line for each finding, and one for what is left out.
pub fn findings(report: &PolicyReport) -> Vec<Line> {
    let mut lines: Vec<Line> = report.findings.iter().map(told).collect();
    if report.more > 0 {
        lines.push(Line::new(Tone::Dim, format!("and {} more", report.more)));
    }
    if report.later > 0 {
        let text = format!("{} more can be told once all is provisioned", report.later);
        lines.push(Line::new(Tone::Dim, text));
    }
    lines
}

fn told(finding: &Finding) -> Line {
    let (mark, tone) = match finding.effect {
        Effect::Deny => ("\u{2717} denied", Tone::Bad),
        Effect::Warn => ("! warning", Tone::Warn),
        Effect::Exempt => ("~ exempt", Tone::Dim),
    };
    Line::new(tone, format!("{mark}: {}", clean(&finding.to_string())))
}
