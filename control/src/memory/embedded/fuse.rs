//! Ranking by words and by meaning together.

use rusqlite::{Connection, OptionalExtension as _};

use super::search::Scored;
use crate::store::rusqlite;

/// How much of a rank is meaning, as in Weaviate's hybrid search; the rest is words.
const ALPHA: f32 = 0.75;

/// Puts what rows are worth by words and by meaning together: each of the two drawn to lie between 0 and 1, as
/// Weaviate's `relativeScoreFusion` does. A row whose meaning is not known, or is of another model's, has 0 of that.
pub(super) fn by_meaning(
    connection: &Connection,
    scored: &mut [Scored],
    asked: &[f32],
) -> Result<(), rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT vector FROM vectors WHERE row = ?")?;
    let mut meanings = Vec::with_capacity(scored.len());
    for (row, _) in &*scored {
        let near =
            find.query_row([row], |found| Ok(cosine(asked, found.get_ref(0)?.as_blob()?))).optional()?;
        meanings.push(near.flatten());
    }
    if meanings.iter().all(Option::is_none) {
        return Ok(());
    }
    let words = drawn(scored.iter().map(|(_, score)| Some(*score)).collect());
    for ((row, words), meaning) in scored.iter_mut().zip(words).zip(drawn(meanings)) {
        row.1 = (1.0 - ALPHA) * words + ALPHA * meaning;
    }
    Ok(())
}

/// Numbers drawn to lie between 0, the least, and 1; none is 0.
fn drawn(numbers: Vec<Option<f32>>) -> Vec<f32> {
    let known = || numbers.iter().flatten().copied();
    let (least, most) = (known().fold(f32::MAX, f32::min), known().fold(f32::MIN, f32::max));
    let width = most - least;
    let draw = |number: f32| if width > 0.0 { (number - least) / width } else { 1.0 };
    numbers.iter().map(|number| number.map_or(0.0, draw)).collect()
}

/// How near two vectors are, from -1 to 1; `None`: they are of different lengths, or have no direction.
fn cosine(asked: &[f32], bytes: &[u8]) -> Option<f32> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    if numbers.len() != asked.len() || !rest.is_empty() {
        return None;
    }
    let (mut product, mut one, mut other) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (a, b) in asked.iter().zip(numbers) {
        let b = f32::from_le_bytes(*b);
        product += a * b;
        one += a * a;
        other += b * b;
    }
    let near = product / (one.sqrt() * other.sqrt());
    near.is_finite().then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_is_the_cosine_and_nothing_where_there_is_none() {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        assert_eq!(cosine(&[1.0, 0.0], &bytes(&[2.0, 0.0])), Some(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &bytes(&[0.0, 2.0])), Some(0.0));
        assert_eq!(cosine(&[1.0, 0.0], &bytes(&[-3.0, 0.0])), Some(-1.0));
        for other in [&[][..], &[1.0], &[1.0, 0.0, 0.0], &[0.0, 0.0], &[f32::NAN, 0.0], &[f32::INFINITY, 0.0]]
        {
            assert_eq!(cosine(&[1.0, 0.0], &bytes(other)), None, "{other:?}");
        }
        assert_eq!(cosine(&[1.0], &[0, 0, 0x80, 0x3f, 0]), None);
    }

    #[test]
    fn numbers_are_drawn_to_lie_between_0_and_1() {
        assert_eq!(drawn(vec![Some(2.0), None, Some(4.0), Some(3.0)]), [0.0, 0.0, 1.0, 0.5]);
        assert_eq!(drawn(vec![Some(2.0), None]), [1.0, 0.0]);
        assert_eq!(drawn(vec![]), [0.0; 0]);
    }
}
