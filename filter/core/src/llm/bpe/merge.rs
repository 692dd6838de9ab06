//! Byte-pair merging of one piece: of all neighbours that together are a token, those of the lowest rank
//! become one, the leftmost first, until no neighbours are.

use super::vocabulary::{LONGEST, NO_TOKEN, Vocabulary};

/// How many parts share a lowest rank.
const BLOCK: usize = 16;

/// A longer piece is merged this many bytes at a time.
pub(super) const WINDOW: usize = 2_048;

/// Tokens that end this far before the end of a window stand as they are, whatever follows the window.
///
/// What follows can change a merge only by changing an earlier one to the right of it, and so on: it
/// reaches back over a chain of merges of ever lower ranks. A test works out that no chain in either
/// vocabulary covers as much as this.
pub(super) const REACH: usize = 512;

/// How many tokens a piece is, however long it is.
pub(super) fn tokens(vocabulary: &Vocabulary, mut piece: &[u8]) -> u64 {
    let mut counted = 0_u64;
    while let Some(window) = piece.get(..WINDOW) {
        if piece.len() == WINDOW {
            break;
        }
        let (tokens, bytes) = head(vocabulary, window);
        counted = counted.saturating_add(tokens);
        piece = piece.get(bytes..).unwrap_or_default();
    }
    counted.saturating_add(match piece.len() {
        0 => 0,
        1 => 1,
        length if length <= LONGEST && vocabulary.rank(piece) != NO_TOKEN => 1,
        2..=16 => Parts::<16, 1>::tokens(vocabulary, piece),
        17..=64 => Parts::<64, 4>::tokens(vocabulary, piece),
        65..=256 => Parts::<256, 16>::tokens(vocabulary, piece),
        length => Tree::merged(vocabulary, piece).parts(length),
    })
}

/// The tokens at the start of a window of a piece that goes on, and how many bytes they are.
pub(super) fn head(vocabulary: &Vocabulary, window: &[u8]) -> (u64, usize) {
    let tree = Tree::merged(vocabulary, window);
    let stands = window.len().saturating_sub(REACH);
    let mut tokens = 0;
    let mut at = 0;
    loop {
        let next = tree.after(at);
        if next > stands || next <= at {
            break;
        }
        tokens += 1;
        at = next;
    }
    // A token is never longer than what stands, so one at least does; but a caller must get ahead.
    if at == 0 { (tree.parts(window.len()), window.len()) } else { (tokens, at) }
}

/// The parts of a piece of at most `N` bytes, in arrays; `B` is `N / BLOCK`. A part is known by where it
/// starts. The lowest rank of each block of parts is kept, so that looking for the lowest of all is short.
struct Parts<const N: usize, const B: usize> {
    /// The rank of each part and its successor together.
    ranks: [u32; N],
    lowest: [u32; B],
    /// Where the part after each starts; of the last one, the end.
    next: [u16; N],
    /// Where the part before each starts.
    previous: [u16; N],
}

impl<const N: usize, const B: usize> Parts<N, B> {
    /// How many tokens a piece is. Takes O(n²/BLOCK), which is the least for so few.
    fn tokens(vocabulary: &Vocabulary, piece: &[u8]) -> u64 {
        let mut parts = Self { ranks: [NO_TOKEN; N], lowest: [NO_TOKEN; B], next: [0; N], previous: [0; N] };
        for (rank, two) in parts.ranks.iter_mut().zip(piece.windows(2)) {
            if let [first, second] = two {
                *rank = vocabulary.pair(*first, *second);
            }
        }
        for (at, (next, previous)) in
            parts.next.iter_mut().zip(&mut parts.previous).enumerate().take(piece.len())
        {
            *next = at as u16 + 1;
            *previous = at.saturating_sub(1) as u16;
        }
        for (lowest, block) in parts.lowest.iter_mut().zip(parts.ranks.chunks(BLOCK)) {
            *lowest = minimum(block);
        }
        let mut count = piece.len() as u64;
        while let Some(at) = parts.leftmost() {
            parts.merge(vocabulary, piece, at);
            count -= 1;
        }
        count
    }

    /// Of the parts with the lowest rank the first, if any has one.
    fn leftmost(&self) -> Option<usize> {
        let mut least = NO_TOKEN;
        let mut block = 0;
        for (place, lowest) in self.lowest.iter().enumerate() {
            if *lowest < least {
                least = *lowest;
                block = place;
            }
        }
        if least == NO_TOKEN {
            return None;
        }
        let start = block * BLOCK;
        let within = self.ranks.get(start..start + BLOCK)?.iter().position(|rank| *rank == least)?;
        Some(start + within)
    }

    fn set(&mut self, at: usize, rank: u32) {
        let (Some(place), Some(lowest)) = (self.ranks.get_mut(at), self.lowest.get_mut(at / BLOCK)) else {
            return;
        };
        let old = std::mem::replace(place, rank);
        if rank <= *lowest {
            *lowest = rank;
        } else if old == *lowest {
            let start = at / BLOCK * BLOCK;
            *lowest = self.ranks.get(start..start + BLOCK).map_or(NO_TOKEN, minimum);
        }
    }

    fn after(&self, part: usize) -> usize {
        self.next.get(part).copied().map_or(part, usize::from)
    }

    /// Makes the part at `at` and its successor one.
    #[inline]
    fn merge(&mut self, vocabulary: &Vocabulary, piece: &[u8], at: usize) {
        let gone = self.after(at);
        let next = self.after(gone);
        if let Some(place) = self.next.get_mut(at) {
            *place = next as u16;
        }
        let own = if next < piece.len() {
            if let Some(place) = self.previous.get_mut(next) {
                *place = at as u16;
            }
            rank(vocabulary, piece, at, self.after(next))
        } else {
            NO_TOKEN
        };
        self.set(gone, NO_TOKEN);
        self.set(at, own);
        if at > 0 {
            let before = self.previous.get(at).copied().map_or(0, usize::from);
            self.set(before, rank(vocabulary, piece, before, next));
        }
    }
}

fn minimum(ranks: &[u32]) -> u32 {
    ranks.iter().fold(NO_TOKEN, |lowest, rank| lowest.min(*rank))
}

#[inline]
fn rank(vocabulary: &Vocabulary, piece: &[u8], from: usize, to: usize) -> u32 {
    piece.get(from..to).map_or(NO_TOKEN, |both| vocabulary.rank(both))
}

/// Merging that takes O(n log n): the ranks are the leaves of a tree whose every node is the lower of its
/// two, and parts are linked to their neighbours. A part is known by where it starts.
struct Tree {
    /// Node 1 is the root, node n has 2n and 2n + 1; the second half are the leaves.
    lowest: Vec<u32>,
    /// Where the part after each starts; of the last one, the end.
    next: Vec<u16>,
    /// Where the part before each starts.
    previous: Vec<u16>,
}

impl Tree {
    fn merged(vocabulary: &Vocabulary, piece: &[u8]) -> Self {
        let leaves = piece.len().next_power_of_two();
        let mut lowest = vec![NO_TOKEN; 2 * leaves];
        for (leaf, two) in lowest.iter_mut().skip(leaves).zip(piece.windows(2)) {
            if let [first, second] = two {
                *leaf = vocabulary.pair(*first, *second);
            }
        }
        let mut tree = Self {
            lowest,
            // At most a window, so 16 bits hold every place.
            next: (1..=piece.len()).map(|at| at as u16).collect(),
            previous: (0..piece.len()).map(|at| at.saturating_sub(1) as u16).collect(),
        };
        for node in (1..leaves).rev() {
            tree.settle(node);
        }
        while tree.node(1) != NO_TOKEN {
            let mut at = 1;
            while at < leaves {
                // Of equal ranks the left one.
                at = if tree.node(2 * at) <= tree.node(2 * at + 1) { 2 * at } else { 2 * at + 1 };
            }
            tree.merge(vocabulary, piece, at - leaves, leaves);
        }
        tree
    }

    fn node(&self, node: usize) -> u32 {
        self.lowest.get(node).copied().unwrap_or(NO_TOKEN)
    }

    /// Makes a node the lower of its two; says whether that changed it.
    fn settle(&mut self, node: usize) -> bool {
        let lower = self.node(2 * node).min(self.node(2 * node + 1));
        match self.lowest.get_mut(node) {
            Some(place) if *place != lower => {
                *place = lower;
                true
            }
            _ => false,
        }
    }

    fn set(&mut self, leaf: usize, rank: u32) {
        if let Some(place) = self.lowest.get_mut(leaf) {
            *place = rank;
        }
        let mut node = leaf / 2;
        while node > 0 && self.settle(node) {
            node /= 2;
        }
    }

    fn after(&self, part: usize) -> usize {
        self.next.get(part).copied().map_or(part, usize::from)
    }

    /// Makes the part at `at` and its successor one.
    fn merge(&mut self, vocabulary: &Vocabulary, piece: &[u8], at: usize, leaves: usize) {
        let gone = self.after(at);
        let next = self.after(gone);
        if let Some(place) = self.next.get_mut(at) {
            *place = next as u16;
        }
        if let Some(place) = self.previous.get_mut(next) {
            *place = at as u16;
        }
        self.set(leaves + gone, NO_TOKEN);
        let own = if next < piece.len() { rank(vocabulary, piece, at, self.after(next)) } else { NO_TOKEN };
        self.set(leaves + at, own);
        if at > 0 {
            let before = self.previous.get(at).copied().map_or(0, usize::from);
            self.set(leaves + before, rank(vocabulary, piece, before, next));
        }
    }

    /// How many parts there are up to `end`, where one ends.
    fn parts(&self, end: usize) -> u64 {
        let mut parts = 0;
        let mut at = 0;
        while at < end {
            at = self.after(at).max(at + 1);
            parts += 1;
        }
        parts
    }
}

#[cfg(test)]
mod tests;
