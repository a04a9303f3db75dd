//! How states that wait for one step are divided into calls of a block: [`divide`], [`join`].

use std::ops::Range;

use burn::tensor::Tensor;

/// Windows `windows` of the state with index `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) state: usize,
    pub(crate) windows: Range<usize>,
}

/// What goes through a block in one call.
pub(crate) type Call = Vec<Part>;

/// Divides `n_states` states of `n_sequences` windows each into calls of at most `most` windows.
///
/// States are kept whole where possible. Calls that would leave some of the pools idle at the end are divided again so
/// that each pool has the same amount of work.
pub(crate) fn divide(n_states: usize, n_sequences: usize, most: usize, n_pools: usize) -> Vec<Call> {
    let whole_states = (most / n_sequences).max(1) * n_sequences; // windows
    let usual = if n_sequences > most { n_sequences.div_ceil(n_sequences.div_ceil(most)) } else { whole_states };
    let total = n_states * n_sequences;
    let full = (total / usual) / n_pools * n_pools;
    let rest = total - full * usual;
    let n_calls = n_pools.max(rest.div_ceil(usual)).min(rest);
    let cut = |index: usize| full * usual + rest * index / n_calls.max(1);
    let usual_calls = (0..full).map(|index| index * usual..(index + 1) * usual);
    let last_calls = (0..n_calls).map(|index| cut(index)..cut(index + 1));
    usual_calls.chain(last_calls).map(|range| parts(range, n_sequences)).collect()
}

/// A range of windows, counted through all states.
fn parts(range: Range<usize>, n_sequences: usize) -> Call {
    let states = range.start / n_sequences..range.end.div_ceil(n_sequences);
    let part = |state: usize| {
        let first = state * n_sequences;
        Part { state, windows: range.start.max(first) - first..range.end.min(first + n_sequences) - first }
    };
    states.map(part).collect()
}

/// Some windows of a residual stream; a view.
pub(crate) fn part(resid: &Tensor<3>, windows: Range<usize>) -> Tensor<3> {
    if windows == (0..resid.dims()[0]) { resid.clone() } else { resid.clone().slice([windows]) }
}

/// Residual streams one after the other.
pub(crate) fn join(mut parts: Vec<Tensor<3>>) -> Tensor<3> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(state: usize, windows: Range<usize>) -> Part {
        Part { state, windows }
    }

    #[test]
    fn states_stay_whole_where_they_can() {
        assert_eq!(divide(2, 8, 8, 2), [[part(0, 0..8)], [part(1, 0..8)]]);
        assert_eq!(divide(2, 8, 16, 1), [[part(0, 0..8), part(1, 0..8)]]);
        assert_eq!(divide(1, 8, 4, 1), [[part(0, 0..4)], [part(0, 4..8)]]);
    }

    #[test]
    fn the_last_state_is_shared_out() {
        let calls = divide(3, 8, 8, 2);
        assert_eq!(calls, [[part(0, 0..8)], [part(1, 0..8)], [part(2, 0..4)], [part(2, 4..8)]]);
    }

    #[test]
    fn every_window_is_in_one_call_and_no_call_is_too_large() {
        for n_states in 1..6 {
            for n_sequences in 1..7 {
                for most in 1..15 {
                    for n_pools in 1..5 {
                        let calls = divide(n_states, n_sequences, most, n_pools);
                        let mut seen: Vec<_> = calls.iter().flatten().cloned().collect();
                        let windows =
                            seen.drain(..).flat_map(|part| part.windows.map(move |window| (part.state, window)));
                        let all = (0..n_states).flat_map(|state| (0..n_sequences).map(move |window| (state, window)));
                        assert!(windows.eq(all));
                        let length = |call: &Call| call.iter().map(|part| part.windows.len()).sum::<usize>();
                        assert!(
                            calls.iter().all(|call| (1..=most).contains(&length(call))),
                            "{calls:?}, at most {most}"
                        );
                    }
                }
            }
        }
    }
}
