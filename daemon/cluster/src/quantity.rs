//! Quantities, as Kubernetes writes them: `250m`, `1.5`, `128Mi`, `1e3`.
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

/// Suffixes and what they stand for; the two-letter ones first, since `m` and `M`
/// end some of them.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// A quantity in its base unit (cores, bytes); none for what is no quantity.
pub(crate) fn quantity(text: &str) -> Option<f64> {
    let text = text.trim();
    let scaled = SUFFIXES.iter().find_map(|(suffix, factor)| {
        let number: f64 = text.strip_suffix(suffix)?.parse().ok()?;
        Some(number * factor)
    });
    scaled.or_else(|| text.parse().ok()).filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let table = [
            ("0", Some(0.0)),
            ("250m", Some(0.25)),
            ("1.5", Some(1.5)),
            ("128974848", Some(128_974_848.0)),
            ("129M", Some(129e6)),
            ("123Mi", Some(123.0 * 1_048_576.0)),
            ("1e3", Some(1000.0)),
            ("12E", Some(12e18)),
            ("100n", Some(1e-7)),
            ("", None),
            ("Mi", None),
            ("much", None),
            ("inf", None),
        ];
        for (text, expected) in table {
            let found = quantity(text);
            let same = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() <= expected.abs() * 1e-12,
                (found, expected) => found == expected,
            };
            assert!(same, "{text}: {found:?}");
        }
    }
}
