//! Positions and keys that differ between windows: against arithmetic on single numbers.

use stratigraph_core::{AttentionPair, Edit, EditTap, Hook, PairMask, Positions, ResidualModel, RunModel};
use stratigraph_testing::toy::windows;
use stratigraph_testing::{Toy, host};

use crate::assert_close;
use crate::edits::{by_element, edited, unedited};

#[test]
fn hidden_keys_have_no_score() {
    let hide = |hidden: bool, x: f32| if hidden { f32::NEG_INFINITY } else { x };
    let distances = Edit::mask_distances(1, 1..=2);
    assert_close(
        &edited(std::slice::from_ref(&distances)),
        &by_element(&distances, |[_, _, q, k], x| hide(q == k + 1 || q == k + 2, x)),
    );
    let keys = Edit::mask_keys(1, Positions::only([0, 2])).with_heads([1]).with_positions(2..);
    assert_close(
        &edited(std::slice::from_ref(&keys)),
        &by_element(&keys, |[_, h, q, k], x| hide(h == 1 && q >= 2 && q != k && (k == 0 || k == 2), x)),
    );
}

#[test]
fn paired_keys_are_hidden_from_their_queries_in_their_window() {
    let pair = AttentionPair::new;
    let pairs = PairMask::new("some", vec![vec![pair(3, 1), pair(3, 2), pair(4, 0)]]);
    let hidden = |w: usize, q: usize, k: usize| w == 0 && [(3, 1), (3, 2), (4, 0)].contains(&(q, k));
    let hide = |hidden: bool, x: f32| if hidden { f32::NEG_INFINITY } else { x };
    let all = Edit::mask_pairs(1, pairs.clone());
    let expected = by_element(&all, |[w, _, q, k], x| hide(hidden(w, q, k), x));
    let found = edited(std::slice::from_ref(&all));
    assert_close(&found, &expected);
    // Window 1 has no pairs, so that no bit of it changes.
    let half = found.len() / 2;
    assert_eq!(found[half..], unedited()[half..]);
    assert_ne!(found[..half], unedited()[..half]);
    let some = Edit::mask_pairs(1, pairs.clone()).with_heads([1]).with_positions(4..);
    let expected = by_element(&some, |[w, h, q, k], x| hide(h == 1 && q >= 4 && hidden(w, q, k), x));
    assert_close(&edited(std::slice::from_ref(&some)), &expected);
    // A batch that holds window 1 alone has none of the pairs of window 0.
    let model = Toy::default();
    let edits = [all];
    let alone = model.forward(windows().batch(1..2, &model.device()), &mut EditTap::new(&edits, vec![1])).unwrap();
    assert_close(&host(alone), &unedited()[half..]);
}

#[test]
fn the_complement_of_a_mask_is_every_other_position() {
    let mask = Positions::mask("some", vec![vec![true, false, false, false, false], vec![false, true]]);
    let others = mask.complement(5);
    for window in 0..3 {
        for position in 0..5 {
            assert_ne!(mask.contains(window, position), others.contains(window, position), "{window} {position}");
        }
    }
    assert_eq!((others.to_string(), others.complement(5)), ("not_mask(some)".to_owned(), mask.clone()));
    assert_ne!(others, mask);
    let edits = [mask, others].map(|positions| Edit::zero(Hook::ResidPre.at(1)).with_positions(positions));
    assert_close(&edited(&edits), &edited(&[Edit::zero(Hook::ResidPre.at(1))]));
}

#[test]
fn masks_choose_other_positions_in_each_window() {
    let mask = vec![vec![true, false, false, false, false], vec![false, false, false, true, true]];
    let chosen = |window: usize, position: usize| [(0, 0), (1, 3), (1, 4)].contains(&(window, position));
    let edit = Edit::zero(Hook::ResidPre.at(1)).with_positions(Positions::mask("some", mask.clone()));
    let expected = by_element(&edit, |[w, p, ..], x| if chosen(w, p) { 0.0 } else { x });
    assert_close(&edited(std::slice::from_ref(&edit)), &expected);
    // A batch that holds window 1 alone uses the mask of window 1.
    let model = Toy::default();
    let edits = [edit];
    let alone = model.forward(windows().batch(1..2, &model.device()), &mut EditTap::new(&edits, vec![1])).unwrap();
    assert_close(&host(alone), &expected[expected.len() / 2..]);

    // Activations with an axis of heads, as those without.
    let masked = |edit: Edit| edit.with_positions(Positions::mask("some", mask.clone()));
    let z = masked(Edit::zero(Hook::Z.at(1)).with_heads([1]));
    let expected = by_element(&z, |[w, p, h, _], x| if h == 1 && chosen(w, p) { 0.0 } else { x });
    assert_close(&edited(std::slice::from_ref(&z)), &expected);
    assert_ne!(expected, unedited());
    let pattern = masked(Edit::scale(Hook::Pattern.at(1), 0.5));
    let expected = by_element(&pattern, |[w, _, q, _], x| if chosen(w, q) { 0.5 * x } else { x });
    assert_close(&edited(std::slice::from_ref(&pattern)), &expected);
    assert_ne!(expected, unedited());

    let keys = Edit::mask_keys(0, Positions::mask("keys", mask));
    let hidden = |[w, _, q, k]: [usize; 4], x: f32| if q != k && chosen(w, k) { f32::NEG_INFINITY } else { x };
    assert_close(&edited(std::slice::from_ref(&keys)), &by_element(&keys, hidden));
}
