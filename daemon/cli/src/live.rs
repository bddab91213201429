//! A deployment while it runs: followed, and shown.
//!
//! [`View`] knows what was seen and says what is to be shown; it is pure.
//! Renderers show it: bars on a terminal, lines elsewhere.

mod bars;
mod findings;
mod follow;
mod lines;
mod rollout;
mod screen;
mod step;
mod view;

pub use bars::Bars;
pub use findings::findings;
pub use follow::{Style, follow, follow_with};
pub use lines::{Lines, Renderer, Silent};
pub use rollout::{BlockLine, Left, block, heading};
pub use screen::{Mark, Row, RowKind};
pub use step::label;
pub use view::{Line, News, View};
pub(crate) use view::{detail, duration, outcome_text};

#[cfg(test)]
mod tests;
