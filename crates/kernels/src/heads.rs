//! Conversions between position-major and head-major layout, with rotary positions on the way: [`split_head`],
//! [`join_heads`].

use crate::for_best_cpu;

/// Cosines and sines of consecutive positions, the same number for each position.
#[derive(Debug, Clone, Copy)]
pub struct Angles<'a> {
    /// The cosines.
    pub cos: &'a [f32],
    /// The sines.
    pub sin: &'a [f32],
    /// How many belong to one position: half of the rotated width of a head.
    pub half: usize,
}

for_best_cpu! {
    /// Gathers one head of consecutive positions: from `rows` of `width` numbers, in which the head begins at `first`,
    /// into `head`, `d_head` numbers for each position. The first half of the rotated numbers is rotated against the
    /// second.
    ///
    /// # Panics
    /// When lengths do not fit each other.
    pub fn split_head(
        rows: &[f32],
        width: usize,
        first: usize,
        d_head: usize,
        angles: Option<Angles>,
        head: &mut [f32]
    ) -> () {
        for (pos, (row, out)) in rows.chunks(width).zip(head.chunks_mut(d_head)).enumerate() {
            let row = &row[first..first + d_head];
            let Some(Angles { cos, sin, half }) = angles else {
                out.copy_from_slice(row);
                continue;
            };
            let (cos, sin) = (&cos[pos * half..(pos + 1) * half], &sin[pos * half..(pos + 1) * half]);
            let (turned, kept) = out.split_at_mut(2 * half);
            let (out_first, out_second) = turned.split_at_mut(half);
            kept.copy_from_slice(&row[2 * half..]);
            for i in 0..half {
                let (a, b) = (row[i], row[half + i]);
                out_first[i] = a * cos[i] - b * sin[i];
                out_second[i] = b * cos[i] + a * sin[i];
            }
        }
    }
}

/// Puts the heads of each position side by side: from `heads`, each `n_pos` positions of `d_head` numbers, to `rows` of all
/// heads for each position.
///
/// # Panics
/// When lengths do not fit each other.
pub fn join_heads(heads: &[f32], n_pos: usize, d_head: usize, rows: &mut [f32]) {
    assert_eq!(heads.len(), rows.len(), "as many numbers in either order");
    let width = rows.len() / n_pos;
    for (index, head) in heads.chunks(n_pos * d_head).enumerate() {
        for (row, values) in rows.chunks_mut(width).zip(head.chunks(d_head)) {
            row[index * d_head..(index + 1) * d_head].copy_from_slice(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_POS: usize = 3;
    const D_HEAD: usize = 10;

    fn rows() -> Vec<f32> {
        (0..N_POS * 2 * D_HEAD).map(|i| i as f32).collect()
    }

    #[test]
    fn heads_split_and_join() {
        let mut heads = vec![0.0; rows().len()];
        for (index, head) in heads.chunks_mut(N_POS * D_HEAD).enumerate() {
            split_head(&rows(), 2 * D_HEAD, index * D_HEAD, D_HEAD, None, head);
        }
        assert_eq!(heads[N_POS * D_HEAD], D_HEAD as f32, "the second head begins in the first row");
        let mut joined = vec![0.0; heads.len()];
        join_heads(&heads, N_POS, D_HEAD, &mut joined);
        assert_eq!(joined, rows());
    }

    #[test]
    fn pairs_turn_by_their_angles_and_the_rest_stays() {
        let half = 4;
        let angle = |i: usize| i as f32 * 0.3;
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..N_POS * half).map(|i| (angle(i).cos(), angle(i).sin())).unzip();
        let mut head = vec![0.0; N_POS * D_HEAD];
        split_head(&rows(), 2 * D_HEAD, D_HEAD, D_HEAD, Some(Angles { cos: &cos, sin: &sin, half }), &mut head);
        for pos in 0..N_POS {
            let (row, found) = (&rows()[pos * 2 * D_HEAD + D_HEAD..], &head[pos * D_HEAD..(pos + 1) * D_HEAD]);
            for i in 0..half {
                let (a, b, angle) = (row[i], row[half + i], angle(pos * half + i));
                assert!((found[i] - (a * angle.cos() - b * angle.sin())).abs() < 1e-4);
                assert!((found[half + i] - (b * angle.cos() + a * angle.sin())).abs() < 1e-4);
            }
            assert_eq!(found[2 * half..], row[2 * half..D_HEAD]);
        }
    }
}
