//! Byte-pair merging of one piece: of all neighbours that together are a token, those of the lowest rank
//! become one, the leftmost first, until no neighbours are.

use super::vocabulary::{LONGEST, NO_TOKEN, Vocabulary};

/// Pieces up to this long are merged on the stack.
const SHORT: usize = 128;

/// A longer piece is merged this many bytes at a time.
pub(super) const WINDOW: usize = 8_192;

/// How far before the end of a window its tokens stand as they are, whatever follows the window.
///
/// What follows can change a merge only by changing the merge to the right of it, which must be of a lower
/// rank to come first, and so on: so it reaches back over a chain of neighbours whose ranks fall. A test
/// works out that no such chain in either vocabulary covers as much as this.
pub(super) const REACH: usize = 3_072;

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
        length if length <= SHORT => short(vocabulary, piece),
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
        // A token is never longer than what stands, so one of them always does.
        if next > stands || next <= at {
            return (tokens, at);
        }
        tokens += 1;
        at = next;
    }
}

/// Merging where looking for the lowest rank by going through all of them is the quickest.
fn short(vocabulary: &Vocabulary, piece: &[u8]) -> u64 {
    // Where each part starts, and the rank of it and its successor together; one more that is the end.
    let mut starts = [0_u8; SHORT + 1];
    let mut ranks = [NO_TOKEN; SHORT + 1];
    let mut parts = piece.len();
    for (at, (start, rank)) in starts.iter_mut().zip(&mut ranks).enumerate().take(parts + 1) {
        *start = at as u8;
        if let Some([first, second]) = piece.get(at..at + 2) {
            *rank = vocabulary.pair(*first, *second);
        }
    }
    loop {
        let mut lowest = NO_TOKEN;
        let mut at = 0;
        for (place, rank) in ranks.iter().enumerate().take(parts) {
            if *rank < lowest {
                lowest = *rank;
                at = place;
            }
        }
        if lowest == NO_TOKEN {
            return parts as u64;
        }
        starts.copy_within(at + 2..=parts, at + 1);
        ranks.copy_within(at + 2..=parts, at + 1);
        parts -= 1;
        let rank_at = |part: usize| {
            let bounds = (starts.get(part), starts.get(part + 2));
            match bounds {
                (Some(from), Some(to)) if part + 2 <= parts => piece
                    .get(usize::from(*from)..usize::from(*to))
                    .map_or(NO_TOKEN, |both| vocabulary.rank(both)),
                _ => NO_TOKEN,
            }
        };
        let own = rank_at(at);
        let before = at.checked_sub(1).map(|before| (before, rank_at(before)));
        if let Some(rank) = ranks.get_mut(at) {
            *rank = own;
        }
        if let Some((before, rank)) = before
            && let Some(place) = ranks.get_mut(before)
        {
            *place = rank;
        }
    }
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
        let rank =
            |from: usize, to: usize| piece.get(from..to).map_or(NO_TOKEN, |both| vocabulary.rank(both));
        self.set(leaves + gone, NO_TOKEN);
        let own = if next < piece.len() { rank(at, self.after(next)) } else { NO_TOKEN };
        self.set(leaves + at, own);
        if at > 0 {
            let before = self.previous.get(at).copied().map_or(0, usize::from);
            self.set(leaves + before, rank(before, next));
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
