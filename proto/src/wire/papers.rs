//! Papers of accounts: signed terms, statements and requests to raise a reserve, each answered.

use super::{
    PAPERS_MAX, Papers, PapersTaken, WireError,
    error::within,
    fields::{Keys, list, read_reply, required, write_reply},
};
use crate::{
    cbor::{CborError, Reader, Writer},
    signed::{Document, Signed},
};

impl Papers {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.terms.len() + self.statements.len() + self.requests.len()
    }
}

/// Writes `{? 0: terms, ? 1: statements, ? 2: requests}`; what there is none of is left out.
pub(super) fn write(papers: &Papers, out: &mut Writer) {
    let Papers { terms, statements, requests } = papers;
    let lists = [terms.is_empty(), statements.is_empty(), requests.is_empty()];
    out.map(lists.into_iter().filter(|is_empty| !is_empty).count());
    write_list(0, terms, out);
    write_list(1, statements, out);
    write_list(2, requests, out);
}

fn write_list<D: Document>(key: u64, papers: &[Signed<D>], out: &mut Writer) {
    if papers.is_empty() {
        return;
    }
    out.uint(key).array(papers.len());
    for paper in papers {
        paper.write(out);
    }
}

pub(super) fn read(input: &mut Reader<'_>) -> Result<Papers, WireError> {
    let mut keys = Keys::of(input, "papers")?;
    let mut papers = Papers::default();
    while let Some(key) = keys.next(input)? {
        match key {
            0 => papers.terms = read_list(input)?,
            1 => papers.statements = read_list(input)?,
            2 => papers.requests = read_list(input)?,
            _ => input.skip("papers")?,
        }
        within("papers of the request", papers.count(), PAPERS_MAX)?;
    }
    if papers.count() == 0 {
        return Err(CborError { field: "papers", expected: "at least one" }.into());
    }
    Ok(papers)
}

fn read_list<D: Document>(input: &mut Reader<'_>) -> Result<Vec<Signed<D>>, WireError> {
    list(input, D::NAME, PAPERS_MAX, |input| Ok(Signed::read(input)?))
}

/// Writes `{0: replies, ? 1: statements}`.
pub(super) fn write_taken(taken: &PapersTaken, out: &mut Writer) {
    out.map(1 + usize::from(!taken.statements.is_empty()));
    out.uint(0).array(taken.replies.len());
    for reply in &taken.replies {
        write_reply(reply, out);
    }
    write_list(1, &taken.statements, out);
}

pub(super) fn read_taken(input: &mut Reader<'_>) -> Result<PapersTaken, WireError> {
    let mut keys = Keys::of(input, "papers taken")?;
    let (mut replies, mut statements) = (None, Vec::new());
    while let Some(key) = keys.next(input)? {
        match key {
            0 => replies = Some(list(input, "replies", PAPERS_MAX, read_reply)?),
            1 => statements = read_list(input)?,
            _ => input.skip("papers taken")?,
        }
    }
    Ok(PapersTaken { replies: required(replies, "papers taken replies")?, statements })
}
