//! What each layout does to small tensors, and that what is put is what was undone.

use super::*;

fn count(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

#[test]
fn rotary_pairs_become_halves() {
    // Two heads of four rows; the stored row 2 i + half is ours at half * 2 + i.
    let ours = Layout::OUT_IN.rotary_pairs(2).undo(count(8), &[8]);
    assert_eq!(ours, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
}

#[test]
fn out_in_is_transposed() {
    assert_eq!(Layout::OUT_IN.undo(count(6), &[3, 2]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]); // stored [2, 3]
    assert_eq!(Layout::OUT_IN.stored_shape(&[3, 2]), Some(vec![2, 3]));
}

#[test]
fn parts_are_cut_out_of_fused_tensors() {
    // [d_in = 2, 3 * 2]: columns 2 and 3 are the second part.
    let second = Layout::SAME.part(1, 3);
    assert_eq!(second.stored_shape(&[2, 2]), Some(vec![2, 6]));
    assert_eq!(second.undo(count(12), &[2, 2]), [2.0, 3.0, 8.0, 9.0]);
    assert_eq!(second.undo(count(6), &[2]), [2.0, 3.0]);
    // [3 * 2, d_in = 2]: the same part as rows.
    assert_eq!(Layout::OUT_IN.part(1, 3).undo(count(12), &[2, 2]), [4.0, 6.0, 5.0, 7.0]);
    // Two groups of four outputs, of which two, one and one belong together; every other output of four.
    assert_eq!(Layout::OUT_IN.in_groups(2, 4, 0).undo(count(8), &[4]), [0.0, 1.0, 4.0, 5.0]);
    assert_eq!(Layout::OUT_IN.in_groups(2, 4, 3).undo(count(8), &[2]), [3.0, 7.0]);
    assert_eq!(Layout::SAME.each_nth(1, 2).undo(count(8), &[2, 2]), [1.0, 3.0, 5.0, 7.0]);
    // Two heads of two outputs, each with its three parts together.
    assert_eq!(Layout::OUT_IN.part_of_head(2, 3, 2).undo(count(12), &[4]), [4.0, 5.0, 10.0, 11.0]);
}

#[test]
fn a_part_of_a_head_is_rotated() {
    let ours = Layout::OUT_IN.partial_rotary_pairs(2, 4).undo(count(12), &[12]);
    assert_eq!(ours, [0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 6.0, 8.0, 7.0, 9.0, 10.0, 11.0]);
}

#[test]
fn places_in_a_stored_tensor() {
    let second = Layout::OUT_IN.slab(1, 3); // [3, d_out, d_in]
    assert_eq!(second.stored_shape(&[2, 4]), Some(vec![3, 4, 2]));
    assert_eq!(second.elements(&[2, 4]), 8..16);
    let shifted = Layout::SAME.after_rows(2);
    assert_eq!(shifted.stored_shape(&[5, 3]), Some(vec![7, 3]));
    assert_eq!(shifted.elements(&[5, 3]), 6..21);
}

#[test]
fn what_is_put_is_what_was_undone() {
    let parts = [Layout::SAME.part(0, 2), Layout::SAME.part(1, 2)];
    let heads = [0, 1].map(|index| Layout::OUT_IN.part_of_head(index, 2, 3));
    let nths = [0, 1].map(|index| Layout::SAME.each_nth(index, 2));
    let groups = [0, 4].map(|start| Layout::OUT_IN.in_groups(3, 8, start));
    let slabs = [0, 1].map(|index| Layout::OUT_IN.slab(index, 2));
    let partial = Layout::OUT_IN.partial_rotary_pairs(2, 4);
    let whole = [Layout::SAME, Layout::OUT_IN, Layout::OUT_IN.rotary_pairs(3), Layout::MINUS_ONE, partial];
    let whole = whole.iter().map(std::slice::from_ref);
    for layouts in whole.chain([&parts[..], &heads[..], &nths[..], &groups[..], &slabs[..]]) {
        for shape in [&[5, 12][..], &[12]] {
            let stored = count(layouts.len() * shape.iter().product::<usize>());
            let mut put = vec![f32::NAN; stored.len()];
            for layout in layouts {
                let part = stored[layout.elements(shape)].to_vec();
                layout.put(&layout.undo(part, shape), shape, &mut put);
            }
            assert_eq!(put, stored, "{layouts:?} {shape:?}");
        }
    }
}

#[test]
fn what_is_stored_minus_one_gets_it_back() {
    assert_eq!(Layout::MINUS_ONE.undo(vec![-0.5, 0.0], &[2]), [0.5, 1.0]);
}
