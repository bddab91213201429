//! Expressions of the Common Expression Language that others write: how much of one a
//! guest's stack takes, when it is read and when it is evaluated.

/// Characters of an expression, as in the schemas.
pub const CHARACTERS_MAX: usize = 1024;

/// Brackets within brackets. The parser and the evaluation take some of a guest's
/// stack for each, and the parser's own limit does not count all of them.
pub const DEPTH_MAX: usize = 16;

/// How much more of the stack a choice (`a ? b : c`) takes than an operator.
pub const CHOICE_WEIGHT: usize = 8;

/// Why an expression is more than a guest's stack takes, which is `operators_max`
/// operators, points and brackets: a chain of them is as deep as it is long when it is
/// evaluated. What stands in texts counts, too: no text that anybody needs has so much
/// of it.
pub fn too_much(expression: &str, operators_max: usize) -> Option<String> {
    let (mut depth, mut deepest, mut operators) = (0_usize, 0, 0_usize);
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        operators += match c {
            '?' => CHOICE_WEIGHT,
            _ => usize::from("([{.!+-*/%<>=&|".contains(c)),
        };
    }
    if expression.chars().count() > CHARACTERS_MAX {
        Some(format!("longer than {CHARACTERS_MAX} characters"))
    } else if deepest > DEPTH_MAX {
        Some(format!("more than {DEPTH_MAX} brackets within brackets"))
    } else if operators > operators_max {
        Some(format!("more than {operators_max} operators, points and brackets"))
    } else {
        None
    }
}
