//! Windows drawn at random from a stream of documents: [`Sample`].
//!
//! Each document has tickets, one for each window that it may give, with increasing keys. Those with the smallest keys of all
//! are kept while documents pass by, and windows are drawn for them in their order. Over documents, the key of a document's
//! ticket `k` is `k` and a random fraction, so that no document gives another window before all have given one. Over tokens, keys
//! are the order statistics of uniform numbers, one for each ticket, and each ticket is of a random one of the places where a
//! window may be. How many places there are follows from the bytes, without encoding the document; those after the last
//! window of its tokens give none. So each window of the corpus has the same chance.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;

use stratigraph_core::SplitMix64;

use crate::document::{Document, Piece};
use crate::keys::{Keys, Places};
use crate::windows::Window;
use crate::{Corpus, CorpusError, Result, SampleOver, TextEncoder, Windows};

/// Documents up to this size are encoded as a whole.
const WHOLE: u64 = 1 << 20;
/// Larger ones are encoded in stretches of this size, or of some windows.
const STRETCH: u64 = 64 << 10;
/// A document of fewer bytes for each token of a window is encoded to see whether it is long enough.
const DOUBTFUL: u64 = 16;
/// Token ids that are kept of stretches from which a window was drawn.
const KEPT_IDS: usize = 4 << 20;

/// Draws windows from documents that are offered one after the other.
pub(crate) struct Sample<'a> {
    corpus: &'a Corpus,
    encoder: &'a dyn TextEncoder,
    /// Tokens of text in a window.
    content: usize,
    options: &'a Windows,
    /// The tickets with the smallest keys so far.
    tickets: BinaryHeap<Ticket>,
    most_tickets: usize,
    /// Whether there were more tickets than are kept.
    is_cut: bool,
    n_documents: usize,
    longest: usize,
    stretches: BTreeMap<StretchKey, Stretch>,
    orders: BTreeMap<usize, Vec<usize>>,
    n_kept: usize,
}

/// A document and one of its stretches.
type StretchKey = (usize, usize);

/// A document that tickets are of.
#[derive(Debug)]
struct Candidate {
    document: Document,
    n_bytes: u64,
}

/// A window that a document may give.
#[derive(Debug, Clone)]
struct Ticket {
    key: f64,
    /// Which of the document's places.
    place: usize,
    candidate: Rc<Candidate>,
}

impl Ticket {
    fn order(&self) -> (f64, usize, usize) {
        (self.key, self.candidate.document.number, self.place)
    }
}

impl Ord for Ticket {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.order(), other.order());
        a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
    }
}

impl PartialOrd for Ticket {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ticket {}

/// The windows of a stretch of a document.
#[derive(Debug)]
struct Stretch {
    /// Where they begin, in a random order.
    starts: Vec<usize>,
    /// The tokens, unless too many are kept.
    ids: Option<Vec<u32>>,
}

/// A window and where it is.
struct Placed {
    stretch: StretchKey,
    start: usize,
    window: Window,
}

impl<'a> Sample<'a> {
    /// A sample of windows with `content` tokens of text, which keeps four times as many tickets in each `round` as in the one
    /// before: not every ticket gives a window.
    pub(crate) fn new(
        corpus: &'a Corpus,
        encoder: &'a dyn TextEncoder,
        (content, round): (usize, u32),
        options: &'a Windows,
    ) -> Self {
        let least = options.count.saturating_mul(4).saturating_add(1024);
        Self {
            corpus,
            encoder,
            content,
            options,
            tickets: BinaryHeap::new(),
            most_tickets: least.saturating_mul(4usize.saturating_pow(round)),
            is_cut: false,
            n_documents: 0,
            longest: 0,
            stretches: BTreeMap::new(),
            orders: BTreeMap::new(),
            n_kept: 0,
        }
    }

    /// Whether there were more tickets than are kept.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Documents that were offered.
    pub(crate) fn n_documents(&self) -> usize {
        self.n_documents
    }

    /// The most tokens of a document that was encoded to see whether it is long enough.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Whether a ticket with this key is kept for now.
    fn takes(&mut self, key: f64) -> bool {
        let takes =
            self.tickets.len() < self.most_tickets || self.tickets.peek().is_some_and(|largest| key < largest.key);
        self.is_cut |= !takes;
        takes
    }

    /// A generator of random numbers for a document, or for a stretch of it.
    fn random(&self, document: usize, stretch: usize) -> SplitMix64 {
        let mixed = [document, stretch].iter().fold(SplitMix64::new(self.options.seed).bits(), |seed, &number| {
            SplitMix64::new(seed ^ SplitMix64::new(number as u64 + 1).bits()).bits()
        });
        SplitMix64::new(mixed)
    }

    /// Takes a document into account.
    pub(crate) fn offer(&mut self, document: Document) -> Result<()> {
        self.n_documents += 1;
        let (n_bytes, content) = (self.corpus.n_bytes(&document)?, self.content as u64);
        let mut random = self.random(document.number, usize::MAX);
        let is_doubtful = n_bytes < DOUBTFUL * content;
        let n_tickets = self.n_places(n_bytes);
        let mut keys = Keys::new(self.options.over, n_tickets);
        let places = Places::new(self.options.over, n_tickets, self.random(document.number, usize::MAX - 2));
        let mut key = keys.next(&mut random);
        if !self.takes(key) {
            return Ok(());
        }
        let mut n_windows = n_tickets;
        if is_doubtful {
            let n_tokens = self.corpus.ids(self.encoder, &document, usize::MAX)?.len();
            self.longest = self.longest.max(n_tokens);
            n_windows = n_tokens / self.content;
        }
        let candidate = Rc::new(Candidate { document: document.without_text(), n_bytes });
        for place in places {
            if !self.takes(key) {
                break;
            }
            if place < n_windows {
                self.tickets.push(Ticket { key, place, candidate: candidate.clone() });
            }
            if self.tickets.len() > self.most_tickets {
                self.tickets.pop();
                self.is_cut = true;
            }
            key = keys.next(&mut random);
        }
        Ok(())
    }

    /// How many places for windows a document has, at least as many as there are windows of its tokens: a token has a byte or more.
    fn n_places(&self, n_bytes: u64) -> usize {
        let n_windows = (n_bytes / self.content as u64) as usize;
        match self.options.over {
            SampleOver::Documents => n_windows.max(1),
            // Of each stretch one more than its bytes have, since stretches begin within tokens.
            SampleOver::Tokens => n_windows + 2 * self.n_stretches(n_bytes),
        }
    }

    /// The windows of the tickets in the order of their keys, until there are as many as asked for; in the order of the
    /// documents.
    pub(crate) fn windows(mut self) -> Result<Vec<Window>> {
        let tickets = std::mem::take(&mut self.tickets).into_sorted_vec();
        let mut placed: Vec<Placed> = Vec::new();
        for ticket in &tickets {
            if placed.len() == self.options.count {
                break;
            }
            placed.extend(self.window(ticket)?);
        }
        placed.sort_by_key(|it| (it.stretch, it.start));
        Ok(placed.into_iter().map(|it| it.window).collect())
    }

    /// The window of a ticket; none where its stretch has no more.
    fn window(&mut self, ticket: &Ticket) -> Result<Option<Placed>> {
        let Candidate { document, n_bytes } = &*ticket.candidate;
        let n_stretches = self.n_stretches(*n_bytes);
        let nth = self.order(document.number, n_stretches)[ticket.place % n_stretches];
        let key = (document.number, nth);
        if !self.stretches.contains_key(&key) {
            let ids = self.encoded(document, nth, *n_bytes)?;
            self.keep(key, ids);
        }
        let Stretch { starts, ids } = &self.stretches[&key];
        let Some(&start) = starts.get(ticket.place / n_stretches) else { return Ok(None) };
        let window = start..start + self.content;
        let ids = match ids {
            Some(ids) => ids[window].to_vec(),
            None => self.encoded(document, nth, *n_bytes)?[window].to_vec(),
        };
        Ok(Some(Placed { stretch: key, start, window: Window { document: document.number, ids } }))
    }

    /// Into how many stretches a document is cut.
    fn n_stretches(&self, n_bytes: u64) -> usize {
        let size = STRETCH.max(32 * self.content as u64);
        if n_bytes <= WHOLE { 1 } else { (n_bytes / size).max(1) as usize }
    }

    /// The stretches of a document in a random order.
    fn order(&mut self, document: usize, n_stretches: usize) -> &[usize] {
        let mut random = self.random(document, usize::MAX - 1);
        self.orders.entry(document).or_insert_with(|| {
            let mut order: Vec<usize> = (0..n_stretches).collect();
            random.shuffle(&mut order);
            order
        })
    }

    /// The token ids of a stretch, which are those of the whole document.
    fn encoded(&self, document: &Document, nth: usize, n_bytes: u64) -> Result<Vec<u32>> {
        let n = self.n_stretches(n_bytes) as u64;
        if n == 1 {
            return self.corpus.ids(self.encoder, document, usize::MAX);
        }
        let at = |nth: u64| (u128::from(n_bytes) * u128::from(nth) / u128::from(n)) as u64;
        let Piece { text, counted } = self.corpus.piece(document, at(nth as u64)..at(nth as u64 + 1), n_bytes)?;
        let name = || self.corpus.sources[document.source].name.clone();
        let tokens = self.encoder.encode_spans(&text);
        let tokens = tokens.map_err(|reason| CorpusError::Encode { name: name(), reason })?;
        Ok(tokens.into_iter().filter(|token| counted.contains(&token.bytes.start)).map(|token| token.id).collect())
    }

    /// Cuts a stretch into windows one after the other, from a random token on.
    fn keep(&mut self, (document, nth): StretchKey, ids: Vec<u32>) {
        let mut random = self.random(document, nth);
        let n_windows = ids.len() / self.content;
        let first = random.below(ids.len() - n_windows * self.content + 1);
        let mut starts: Vec<usize> = (0..n_windows).map(|index| first + index * self.content).collect();
        random.shuffle(&mut starts);
        self.n_kept += ids.len();
        let ids = (self.n_kept <= KEPT_IDS).then_some(ids);
        self.stretches.insert((document, nth), Stretch { starts, ids });
    }
}
