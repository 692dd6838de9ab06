//! The table of rows: medians over the rounds.
//!
//! Differences and ratios are taken within each round and their median is shown, so that a slow minute of the
//! machine, which slows all rows, does not count.

use std::fmt::Write as _;

use crate::drive::CONNECTIONS;
use crate::measure::{Case, Measured, Sample};
use crate::rows::Method;

/// What everything is compared with.
pub(crate) const BARE: &str = "bare";
pub(crate) const NATIVE: &str = "native";

/// All rows.
pub(crate) fn table(measured: &Measured) -> String {
    let mut text = format!(
        "Envoy --concurrency 1, wrk with {CONNECTIONS} connections, {} requests in {} interleaved rounds; medians.\n\
         CPU is that of the Envoy process, in µs per request; latency is in µs.\n",
        measured.requests, measured.rounds
    );
    for method in [Method::Get, Method::Post] {
        let cases: Vec<&Case> = measured.cases.iter().filter(|case| case.method == method).collect();
        if cases.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n{:<33} {:>7} {:>11} {:>7} {:>8} {:>7} {:>9} {:>6} {:>6}",
            format!("{} {}", method.name(), method.path()),
            "CPU",
            "above bare",
            "× bare",
            "req/s",
            "× bare",
            "× native",
            "p50",
            "p99"
        );
        for case in cases {
            let cpu = |sample: &Sample| sample.cpu;
            let rate = |sample: &Sample| sample.per_second;
            let of = |figure: fn(&Sample) -> f64| shown(median(case.samples.iter().map(figure)), 0);
            let against =
                |name, with: &dyn Fn(&Sample, &Sample) -> f64| paired(measured, case, name, method, with);
            let _ = writeln!(
                text,
                "{:<33} {:>7} {:>11} {:>7} {:>8} {:>7} {:>9} {:>6} {:>6}",
                case.row.title,
                shown(median(case.samples.iter().map(cpu)), 1),
                signed(against(BARE, &|mine, bare| mine.cpu - bare.cpu)),
                shown(against(BARE, &|mine, bare| mine.cpu / bare.cpu), 2),
                shown(median(case.samples.iter().map(rate)), 0),
                shown(against(BARE, &|mine, bare| mine.per_second / bare.per_second), 2),
                shown(against(NATIVE, &|mine, native| mine.per_second / native.per_second), 2),
                of(|sample| sample.p50),
                of(|sample| sample.p99),
            );
        }
    }
    text.push_str(
        "\n× native: throughput against jwt_authn with its token cache. Rows whose every request is signed are sent a\n\
         fixed number and have none. A POST is refused before its body has been read, after which Envoy closes the\n\
         connection: the 401s on POST cost a new connection each.\n",
    );
    text
}

/// The median over the rounds of a comparison with another row of the same method.
pub(crate) fn paired(
    measured: &Measured,
    case: &Case,
    name: &str,
    method: Method,
    with: &dyn Fn(&Sample, &Sample) -> f64,
) -> Option<f64> {
    let other = measured.cases.iter().find(|other| other.row.name == name && other.method == method)?;
    if std::ptr::eq(case, other) {
        return None;
    }
    median(case.samples.iter().zip(&other.samples).map(|(mine, other)| with(mine, other)))
}

/// The middle of some values; `None` where there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper)).filter(|median| median.is_finite())
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn signed(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:+.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
