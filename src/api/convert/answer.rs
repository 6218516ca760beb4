//! Replies and renewals.
#![forbid(unsafe_code)]

use super::Malformed;
use super::nothing;
use super::nouns;
use super::read;
use super::read_all;
use super::sixteen;
use crate::api::v1;
use crate::facility::Receipt;
use crate::facility::Renewal;
use crate::facility::Reply;
use crate::ident::HistoryId;
use crate::ident::Lsn;
use crate::structure::Answer;
use v1::reply::Answer as Sent;

/// Most memberships, and most grants, in one message: well below 4 MiB.
const PART_ROWS_MAX: usize = 16_384;

impl From<&Reply> for v1::Reply {
    fn from(reply: &Reply) -> Self {
        Self {
            store: nouns::store_out(reply.store),
            history: reply.history.0,
            lsn: reply.lsn.0,
            receipt: reply.receipt.0.to_vec(),
            answer: Some(answer_out(&reply.answer)),
        }
    }
}

impl TryFrom<v1::Reply> for Reply {
    type Error = Malformed;

    fn try_from(sent: v1::Reply) -> Result<Self, Malformed> {
        Ok(Self {
            store: nouns::store_in(&sent.store)?,
            history: HistoryId(sent.history),
            lsn: Lsn(sent.lsn),
            receipt: Receipt(sixteen("receipt", &sent.receipt)?),
            answer: answer_in(sent.answer.ok_or(Malformed::missing("reply.answer"))?)?,
        })
    }
}

impl v1::AttachedPart {
    /// Takes out of a reply what is too much for one message, in parts; the rest stays.
    pub(crate) fn split_off(reply: &mut Reply) -> Vec<Self> {
        let mut parts = Vec::new();
        if let Answer::Attached { memberships, grants, .. } = &mut reply.answer {
            while memberships.len() > PART_ROWS_MAX {
                let rows = memberships.drain(..PART_ROWS_MAX);
                parts.push(Self { memberships: rows.map(|row| (&row).into()).collect(), grants: Vec::new() });
            }
            while grants.len() > PART_ROWS_MAX {
                let rows = grants.drain(..PART_ROWS_MAX);
                parts.push(Self { memberships: Vec::new(), grants: rows.map(|row| (&row).into()).collect() });
            }
        }
        parts
    }
}

impl v1::Reply {
    /// Puts a part that came before back in front of what is here.
    pub(crate) fn put_back(&mut self, part: v1::AttachedPart) {
        if let Some(Sent::Attached(attached)) = &mut self.answer {
            attached.memberships.splice(..0, part.memberships);
            attached.grants.splice(..0, part.grants);
        }
    }
}

fn answer_out(answer: &Answer) -> Sent {
    match answer {
        Answer::Done => Sent::Done(nothing()),
        Answer::Connected(actor) => Sent::Connected((*actor).into()),
        Answer::Attached { actor, memberships, grants, stopped } => Sent::Attached(v1::Attached {
            actor: Some((*actor).into()),
            memberships: memberships.iter().map(Into::into).collect(),
            grants: grants.iter().map(Into::into).collect(),
            stopped: stopped.map(nouns::cause_out),
        }),
        Answer::Joined(membership) => Sent::Joined(membership.into()),
        Answer::Granted(grants) => Sent::Granted(v1::Granted { grants: grants.iter().map(Into::into).collect() }),
        Answer::GrantedAndGone => Sent::GrantedAndGone(nothing()),
    }
}

fn answer_in(sent: Sent) -> Result<Answer, Malformed> {
    Ok(match sent {
        Sent::Done(v1::Nothing {}) => Answer::Done,
        Sent::Connected(actor) => Answer::Connected(actor.try_into()?),
        Sent::Attached(sent) => Answer::Attached {
            actor: read("attached.actor", sent.actor)?,
            memberships: read_all(sent.memberships)?,
            grants: read_all(sent.grants)?,
            stopped: sent.stopped.map(nouns::cause_in).transpose()?,
        },
        Sent::Joined(membership) => Answer::Joined(membership.try_into()?),
        Sent::Granted(v1::Granted { grants }) => Answer::Granted(read_all(grants)?),
        Sent::GrantedAndGone(v1::Nothing {}) => Answer::GrantedAndGone,
    })
}

impl From<Renewal> for v1::Renewal {
    fn from(renewal: Renewal) -> Self {
        Self { number: renewal.number, promise_ms: renewal.promise_ms }
    }
}

impl From<v1::Renewal> for Renewal {
    fn from(sent: v1::Renewal) -> Self {
        Self { number: sent.number, promise_ms: sent.promise_ms }
    }
}
