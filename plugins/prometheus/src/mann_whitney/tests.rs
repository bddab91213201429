use super::*;

fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn small_samples_are_exact() {
    // The example in the documentation of scipy.stats.mannwhitneyu.
    let (males, females) = ([19.0, 22.0, 16.0, 29.0, 24.0], [20.0, 11.0, 17.0, 12.0]);
    let test = greater(&males, &females).unwrap();
    assert_eq!(test.u, 17.0);
    near(test.p, 7.0 / 126.0);
    let test = greater(&females, &males).unwrap();
    assert_eq!(test.u, 3.0);
    near(test.p, 0.968_253_968_253_968_3);
    // Hollander and Wolfe, 69 f., as in the documentation of R's wilcox.test:
    // W = 35, p = 0.1272.
    let x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    let y = [1.15, 0.88, 0.90, 0.74, 1.21];
    let test = greater(&x, &y).unwrap();
    assert_eq!(test.u, 35.0);
    near(test.p, 0.127_206_127_206_127_2);
}

#[test]
fn small_samples_with_ties_are_exact() {
    // By enumeration of all 210 divisions of the mid-ranks.
    let (few, more) = ([1.0, 2.0, 2.0, 3.0], [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]);
    near(greater(&few, &more).unwrap().p, 67.0 / 210.0);
    near(greater(&more, &few).unwrap().p, 179.0 / 210.0);
    let same = [5.0; 4];
    near(greater(&same, &same).unwrap().p, 1.0);
}

#[test]
fn large_samples_are_normal_with_both_corrections() {
    // airquality's ozone in May and in August, as in R's documentation of
    // wilcox.test: W = 127.5, p = 0.0001208 for both sides.
    let may = [
        41.0, 36.0, 12.0, 18.0, 28.0, 23.0, 19.0, 8.0, 7.0, 16.0, 11.0, 14.0, 18.0, 14.0, 34.0,
        6.0, 30.0, 11.0, 1.0, 11.0, 4.0, 32.0, 23.0, 45.0, 115.0, 37.0,
    ];
    let august = [
        39.0, 9.0, 16.0, 78.0, 35.0, 66.0, 122.0, 89.0, 110.0, 44.0, 28.0, 65.0, 22.0, 59.0, 23.0,
        31.0, 44.0, 21.0, 9.0, 45.0, 168.0, 73.0, 76.0, 118.0, 84.0, 85.0,
    ];
    let test = greater(&may, &august).unwrap();
    assert_eq!(test.u, 127.5);
    near(test.p, 0.999_943_949_875_280_9);
    let test = greater(&august, &may).unwrap();
    assert_eq!(test.u, 548.5);
    near(test.p, 6.040_391_538_438_717e-5);
    near(2.0 * test.p, 0.000_120_807_830_768_774_34);
    let same = [5.0; 30];
    near(greater(&same, &same).unwrap().p, 1.0);
}

#[test]
fn the_normal_distribution_is_that_of_the_tables() {
    for (z, p) in [
        (0.1, 0.460_172_162_722_971),
        (1.0, 0.158_655_253_931_457_07),
        (1.96, 0.024_997_895_148_220_435),
        (2.5, 0.006_209_665_325_776_132),
        (3.5, 0.000_232_629_079_035_525_02),
        (3.6, 0.000_159_108_590_157_533_64),
        (6.0, 9.865_876_450_376_946e-10),
        (-1.0, 0.841_344_746_068_542_9),
        (-4.0, 0.999_968_328_758_166_9),
    ] {
        near(erfc(z / std::f64::consts::SQRT_2) / 2.0, p);
    }
    assert_eq!(erfc(100.0), 0.0);
}

#[test]
fn infinite_values_have_an_order_and_others_none() {
    let infinite = [f64::INFINITY, f64::INFINITY, 3.0, 4.0];
    assert!(greater(&infinite, &[1.0, 2.0, f64::NEG_INFINITY, 0.0]).unwrap().p < 0.02);
    assert!(greater(&[f64::NAN], &[1.0]).is_none());
    assert!(greater(&[], &[1.0]).is_none());
}

#[test]
fn the_least_p_is_that_of_samples_apart() {
    for (m, n) in [(3, 3), (4, 7), (7, 2), (1, 5)] {
        let low: Vec<f64> = (0..n).map(|value| f64::from(u32::try_from(value).unwrap())).collect();
        let high: Vec<f64> = (0..m).map(|value| 100.0 + f64::from(value)).collect();
        near(greater(&high, &low).unwrap().p, least_p(high.len(), low.len()));
    }
}

/// SplitMix64: the same numbers in each run of a test.
struct Random(u64);

impl Random {
    /// From 0 to less than 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((bits ^ (bits >> 31)) >> 32).unwrap()) / 4_294_967_296.0
    }

    /// Latencies: mostly short, some very long.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }
}

/// The share of comparisons in which the test says that the first is greater.
fn alarms(trials: u32, alpha: f64, mut sample: impl FnMut() -> (Vec<f64>, Vec<f64>)) -> f64 {
    let alarm = |_: &u32| {
        let (first, second) = sample();
        greater(&first, &second).unwrap().p <= alpha
    };
    f64::from(u32::try_from((0..trials).filter(alarm).count()).unwrap()) / f64::from(trials)
}

#[test]
fn false_alarms_are_no_more_than_alpha() {
    let trials = 2_000;
    for (seed, m, n, rounding) in [
        (1, 8, 8, 0.0),
        (2, 20, 20, 0.0),
        (3, 10, 60, 0.0),
        (4, 20, 20, 0.5),
        (5, 30, 30, 2.0),
        (6, 5, 7, 0.0),
        (7, 4, 12, 0.5),
    ] {
        for alpha in [0.05, 0.01] {
            let mut random = Random(seed);
            let mut values = |count: usize| -> Vec<f64> {
                let rounded = |value: f64| {
                    if rounding == 0.0 { value } else { (value / rounding).round() * rounding }
                };
                (0..count).map(|_| rounded(random.exponential(1.0))).collect()
            };
            let rate = alarms(trials, alpha, || (values(m), values(n)));
            // Three standard errors of so many trials.
            let error = 3.0 * (alpha * (1.0 - alpha) / f64::from(trials)).sqrt();
            assert!(rate <= alpha + error, "{m} and {n}, {rounding}: {rate} for {alpha}");
            // And the test is not right by never saying anything.
            assert!(rounding > 0.0 || rate >= alpha / 4.0, "{m} and {n}: {rate} for {alpha}");
        }
    }
}

#[test]
fn a_latency_that_has_doubled_is_seen() {
    let mut random = Random(11);
    let mut values =
        |mean: f64| -> Vec<f64> { (0..60).map(|_| random.exponential(mean)).collect() };
    let rate = alarms(1_000, 0.01, || (values(2.0), values(1.0)));
    assert!(rate > 0.8, "{rate}");
}
