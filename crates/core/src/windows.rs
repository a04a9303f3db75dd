//! Token windows of one fixed length, without padding: [`TokenWindows`].

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::run::check_length;
use crate::transfers;
use crate::{CoreError, ResidualModel, Result, WindowSampling, check_token_ids};

/// A corpus: `n_sequences` windows of `seq_len` token ids each.
///
/// Measures count the positions of a window from [`scored_from`](TokenWindows::scored_from) or
/// [`measured_from`](TokenWindows::measured_from) on, which is 0 unless windows begin with BOS or positions are skipped.
///
/// ```
/// use stratigraph_core::TokenWindows;
/// let windows = TokenWindows::new(&[5, 6, 7, 8, 9], 2)?; // the token that fills no window is left out
/// assert_eq!(windows.n_sequences(), 2);
/// assert_eq!(windows.sequence(1), &[7, 8]);
/// # Ok::<(), stratigraph_core::CoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWindows {
    ids: Vec<u32>,
    seq_len: usize,
    /// The document of each window, where they are known.
    documents: Option<Vec<usize>>,
    /// The token that each window begins with, where one was put there.
    bos: Option<u32>,
    skip_first: usize,
    sampling: Option<WindowSampling>,
}

impl TokenWindows {
    /// Cuts `ids` into windows of `seq_len`; tokens that fill no whole window are left out.
    ///
    /// # Errors
    /// When a window is shorter than two tokens, or the text shorter than one window.
    pub fn new(ids: &[u32], seq_len: usize) -> Result<Self> {
        if seq_len < 2 {
            return Err(CoreError::WindowTooShort { seq_len });
        }
        if ids.len() < seq_len {
            return Err(CoreError::TextTooShort { n_tokens: ids.len(), seq_len });
        }
        let whole = ids.len() / seq_len * seq_len;
        Ok(Self::of(ids[..whole].to_vec(), seq_len))
    }

    /// Windows of `seq_len` tokens that begin at these places of `ids`; they may overlap.
    ///
    /// # Errors
    /// When a window is shorter than two tokens, or one would end after the text.
    pub fn starting_at(ids: &[u32], seq_len: usize, starts: &[usize]) -> Result<Self> {
        if seq_len < 2 {
            return Err(CoreError::WindowTooShort { seq_len });
        }
        let window = |start: usize| {
            let too_short = CoreError::TextTooShort { n_tokens: ids.len().saturating_sub(start), seq_len };
            ids.get(start..start + seq_len).ok_or(too_short)
        };
        let windows = starts.iter().map(|&start| window(start)).collect::<Result<Vec<_>>>()?;
        Ok(Self::of(windows.concat(), seq_len))
    }

    fn of(ids: Vec<u32>, seq_len: usize) -> Self {
        Self { ids, seq_len, documents: None, bos: None, skip_first: 0, sampling: None }
    }

    /// With the document that each window is from, by number. Resampling then takes activations from another document.
    ///
    /// ```
    /// # use stratigraph_core::TokenWindows;
    /// let windows = TokenWindows::new(&[5, 6, 7, 8, 9, 3], 2)?.with_documents(vec![0, 0, 1])?;
    /// assert_eq!([0, 1, 2].map(|window| windows.next_of_other_document(window)), [2, 2, 0]);
    /// # Ok::<(), stratigraph_core::CoreError>(())
    /// ```
    ///
    /// # Errors
    /// When there is not one for each window.
    pub fn with_documents(self, documents: Vec<usize>) -> Result<Self> {
        let (found, n_sequences) = (documents.len(), self.n_sequences());
        if found != n_sequences {
            return Err(CoreError::OtherDocuments { found, n_sequences });
        }
        Ok(Self { documents: Some(documents), ..self })
    }

    /// Says that each window begins with the token `bos`, which is not of the text. The prediction at its position counts, as
    /// the prediction of the first token of the text; activations there do not.
    ///
    /// ```
    /// # use stratigraph_core::TokenWindows;
    /// let windows = TokenWindows::new(&[2, 6, 7, 2, 9, 3], 3)?.with_bos(2)?;
    /// assert_eq!((windows.scored_from(), windows.measured_from()), (0, 1));
    /// assert!(windows.clone().with_bos(6).is_err());
    /// assert!(windows.text_ids().eq([6, 7, 9, 3]));
    /// assert_eq!(windows.with_skip_first(1)?.scored_from(), 1);
    /// # Ok::<(), stratigraph_core::CoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`CoreError::NoBos`] when a window begins with another token.
    pub fn with_bos(self, bos: u32) -> Result<Self> {
        match (0..self.n_sequences()).find(|&window| self.sequence(window)[0] != bos) {
            Some(window) => Err(CoreError::NoBos { bos, window, found: self.sequence(window)[0] }),
            None => Ok(Self { bos: Some(bos), ..self }),
        }
    }

    /// Leaves the first `n` positions of each window, that of BOS included, out of every measure.
    ///
    /// # Errors
    /// [`CoreError::NothingMeasured`] when no position with a next token is left.
    pub fn with_skip_first(self, n: usize) -> Result<Self> {
        match n >= self.seq_len - 1 {
            true => Err(CoreError::NothingMeasured { skip_first: n, seq_len: self.seq_len }),
            false => Ok(Self { skip_first: n, ..self }),
        }
    }

    /// Records how the windows were drawn.
    pub fn with_sampling(self, sampling: WindowSampling) -> Self {
        Self { sampling: Some(sampling), ..self }
    }

    /// Keeps the first `n` windows, or all when there are fewer.
    pub fn take(mut self, n: usize) -> Self {
        self.ids.truncate(n.saturating_mul(self.seq_len));
        self.documents.iter_mut().for_each(|documents| documents.truncate(n));
        self
    }

    /// The windows of these numbers, in this order.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn select(&self, windows: impl IntoIterator<Item = usize>) -> Self {
        let windows: Vec<usize> = windows.into_iter().collect();
        let ids = windows.iter().flat_map(|&window| self.sequence(window)).copied().collect();
        let of = |documents: &Vec<usize>| windows.iter().map(|&window| documents[window]).collect();
        Self { ids, documents: self.documents.as_ref().map(of), ..self.clone() }
    }

    /// How many windows there are.
    pub fn n_sequences(&self) -> usize {
        self.ids.len() / self.seq_len
    }

    /// Tokens in each window.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// The document that each window is from, where that is known.
    pub fn documents(&self) -> Option<&[usize]> {
        self.documents.as_deref()
    }

    /// The token that each window begins with, where one was put there.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// How many positions at the start of each window are left out of every measure.
    pub fn skip_first(&self) -> usize {
        self.skip_first
    }

    /// How the windows were drawn, where that is known.
    pub fn sampling(&self) -> Option<&WindowSampling> {
        self.sampling.as_ref()
    }

    /// The first position whose prediction counts: [`skip_first`](TokenWindows::skip_first).
    pub fn scored_from(&self) -> usize {
        self.skip_first
    }

    /// The first position whose activations count: that after BOS, or [`skip_first`](TokenWindows::skip_first) if that is larger.
    pub fn measured_from(&self) -> usize {
        self.skip_first.max(usize::from(self.bos.is_some()))
    }

    /// The next window of another document than that of `window`; where all are of one document, or documents are not known,
    /// the next window. After the last window comes the first.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn next_of_other_document(&self, window: usize) -> usize {
        let n = self.n_sequences();
        assert!(window < n, "window {window} of a corpus of {n}");
        let next = |steps: usize| (window + steps) % n;
        let Some(documents) = &self.documents else { return next(1) };
        (1..n).map(next).find(|&other| documents[other] != documents[window]).unwrap_or_else(|| next(1))
    }

    /// All token ids, window after window.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The token ids of the text, window after window: all but BOS where it was put there.
    pub fn text_ids(&self) -> impl Iterator<Item = u32> {
        self.ids.chunks(self.seq_len).flat_map(|window| &window[usize::from(self.bos.is_some())..]).copied()
    }

    /// The token ids of one window.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn sequence(&self, index: usize) -> &[u32] {
        &self.ids[index * self.seq_len..(index + 1) * self.seq_len]
    }

    /// Windows `range` as a tensor `[batch, pos]` on `device`.
    ///
    /// # Panics
    /// When the range ends past the last window.
    pub fn batch(&self, range: Range<usize>, device: &Device) -> Tensor<2, Int> {
        let ids = &self.ids[range.start * self.seq_len..range.end * self.seq_len];
        let ids: Vec<i32> = ids.iter().map(|&id| i32::try_from(id).expect("a token id fits 31 bits")).collect();
        transfers::upload_ints(TensorData::new(ids, [range.len(), self.seq_len]), device)
    }

    /// Checks that `model` can run these windows.
    ///
    /// # Errors
    /// When there are no windows, a token is outside the model's vocabulary, or a window longer than its context.
    pub fn check<M: ResidualModel + ?Sized>(&self, model: &M) -> Result<()> {
        if self.ids.is_empty() {
            return Err(CoreError::NoWindows);
        }
        check_token_ids(&self.ids, model.d_vocab())?;
        check_length(model, self.seq_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_selected_with_their_documents() {
        let windows = TokenWindows::new(&[5, 6, 7, 8, 9, 3], 2).unwrap().with_documents(vec![0, 0, 1]).unwrap();
        let selected = windows.with_skip_first(0).unwrap().select([2, 0]);
        assert_eq!((selected.ids(), selected.documents()), (&[9, 3, 5, 6][..], Some(&[1, 0][..])));
        assert_eq!(selected.select(2..2).n_sequences(), 0);
    }

    #[test]
    fn short_texts_and_windows_are_errors() {
        assert_eq!(TokenWindows::new(&[1, 2, 3], 4), Err(CoreError::TextTooShort { n_tokens: 3, seq_len: 4 }));
        assert_eq!(TokenWindows::new(&[], 4), Err(CoreError::TextTooShort { n_tokens: 0, seq_len: 4 }));
        assert_eq!(TokenWindows::new(&[1, 2, 3], 1), Err(CoreError::WindowTooShort { seq_len: 1 }));
    }

    #[test]
    fn windows_stand_where_they_are_asked_for() {
        let ids = [10, 11, 12, 13, 14];
        let windows = TokenWindows::starting_at(&ids, 3, &[2, 0]).unwrap();
        assert_eq!(windows.ids(), &[12, 13, 14, 10, 11, 12]);
        let beyond = TokenWindows::starting_at(&ids, 3, &[3]);
        assert_eq!(beyond, Err(CoreError::TextTooShort { n_tokens: 2, seq_len: 3 }));
    }

    #[test]
    fn the_next_window_is_of_another_document_where_there_is_one() {
        let windows = TokenWindows::new(&[0; 12], 2).unwrap();
        let next =
            |windows: &TokenWindows| (0..6).map(|window| windows.next_of_other_document(window)).collect::<Vec<_>>();
        let cyclic = [1, 2, 3, 4, 5, 0];
        assert_eq!(next(&windows), cyclic);
        assert_eq!(next(&windows.clone().with_documents(vec![4; 6]).unwrap()), cyclic);
        let several = windows.clone().with_documents(vec![0, 0, 1, 1, 1, 0]).unwrap();
        assert_eq!(next(&several), [2, 2, 5, 5, 5, 2]);
        assert_eq!(several.take(3).documents(), Some(&[0, 0, 1][..]));
        assert_eq!(windows.with_documents(vec![0, 1]), Err(CoreError::OtherDocuments { found: 2, n_sequences: 6 }));
    }

    #[test]
    fn a_position_with_a_next_token_is_left() {
        let windows = TokenWindows::new(&[1, 2, 3, 1, 5, 6], 3).unwrap();
        let skipping = windows.clone().with_skip_first(1).unwrap();
        assert_eq!((skipping.scored_from(), skipping.measured_from()), (1, 1));
        let refused = CoreError::NothingMeasured { skip_first: 2, seq_len: 3 };
        assert_eq!(windows.clone().with_skip_first(2), Err(refused));
        assert!(windows.clone().with_skip_first(usize::MAX).is_err());
        assert_eq!(windows.with_bos(5), Err(CoreError::NoBos { bos: 5, window: 0, found: 1 }));
    }

    #[test]
    fn take_keeps_whole_windows() {
        let windows = TokenWindows::new(&[0, 1, 2, 3, 4, 5, 6], 3).unwrap();
        assert_eq!(windows.clone().take(1).ids(), &[0, 1, 2]);
        assert_eq!(windows.clone().take(9).ids(), &[0, 1, 2, 3, 4, 5]);
        assert_eq!(windows.take(1).n_sequences(), 1);
    }
}
