//! The operator's own rules: who may send what to whom. The first rule that matches decides; a
//! message that none matches passes.

use std::fmt;

use thiserror::Error;

use crate::{
    address::Local,
    amount::Amount,
    chain::ChainId,
    code::{Code, Reply},
    message::{Asset, Message},
};

/// What becomes of a message that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It passes, whatever later rules say.
    Allow,
    /// It is refused for good (`5.7.1`).
    Deny,
}

/// One rule. A condition that is not set matches everything; all that are set have to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What becomes of what it matches.
    pub action: Action,
    /// The chain it comes from.
    pub chain: Option<ChainId>,
    /// Who sent it, on the source chain. Upper and lower case are the same: EVM chains read
    /// `63EA…` and `63ea…` as one account, and a rule must not be got round by spelling.
    pub sender: Option<Local>,
    /// Whom it is for, on the own chain; upper and lower case are the same.
    pub recipient: Option<Local>,
    /// What its value counts in; a message without value does not match.
    pub asset: Option<Asset>,
    /// The least amount that matches, in the asset's smallest unit.
    pub amount_min: Option<Amount>,
    /// The most that matches, in the asset's smallest unit.
    pub amount_max: Option<Amount>,
    /// What a refused sender is told; empty: [`Rules::TEXT_DEFAULT`].
    pub text: String,
}

impl Rule {
    /// A rule that matches every message.
    #[must_use]
    pub fn any(action: Action) -> Self {
        Self {
            action,
            chain: None,
            sender: None,
            recipient: None,
            asset: None,
            amount_min: None,
            amount_max: None,
            text: String::new(),
        }
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn matches(&self, message: &Message) -> bool {
        let fields = message.fields();
        let same = |wanted: &Option<Local>, found: &Local| {
            wanted.as_ref().is_none_or(|local| local.as_str().eq_ignore_ascii_case(found.as_str()))
        };
        self.chain.is_none_or(|chain| chain == fields.source)
            && same(&self.sender, &fields.sender)
            && same(&self.recipient, &fields.recipient)
            && self.asset.as_ref().is_none_or(|asset| {
                fields.value.as_ref().is_some_and(|value| value.asset == *asset)
            })
            && self.amount_min.is_none_or(|least| message.amount() >= least)
            && self.amount_max.is_none_or(|most| message.amount() <= most)
    }

    fn check(&self) -> Result<(), RuleFault> {
        if self.asset.is_none() && (self.amount_min.is_some() || self.amount_max.is_some()) {
            return Err(RuleFault::AmountWithoutAsset);
        }
        if let (Some(least), Some(most)) = (self.amount_min, self.amount_max)
            && least > most
        {
            return Err(RuleFault::Amounts { least, most });
        }
        if self.action == Action::Allow && !self.text.is_empty() {
            return Err(RuleFault::TextOfAllow);
        }
        let printable = !self.text.chars().any(char::is_control);
        if self.text.len() > Reply::TEXT_MAX || !printable {
            return Err(RuleFault::Text { found: self.text.len() });
        }
        Ok(())
    }
}

/// What is wrong with one rule. The operator's to repair.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RuleFault {
    /// Sums of several assets cannot be compared.
    #[error("found amount_min or amount_max, expected asset beside it: what the amount counts in")]
    AmountWithoutAsset,
    /// No amount lies between them.
    #[error("amount_min is {least}, expected at most amount_max, {most}")]
    Amounts {
        /// `amount_min`.
        least: Amount,
        /// `amount_max`.
        most: Amount,
    },
    /// Nobody is told why a message was let in.
    #[error("text stands beside action = \"allow\", expected it only beside \"deny\"")]
    TextOfAllow,
    /// Too long for a reply, or not printable.
    #[error("text has {found} bytes, expected at most {max}, all printable", max = Reply::TEXT_MAX)]
    Text {
        /// Its length in bytes.
        found: usize,
    },
}

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// One of them contradicts itself.
    #[error("rule {number}: {fault}")]
    Rule {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        fault: RuleFault,
    },
    /// Too many to ask for each message.
    #[error("found {found} rules, expected at most {max}", max = Rules::COUNT_MAX)]
    Count {
        /// How many there are.
        found: usize,
    },
}

/// Rules that can be used, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Most rules: every message goes through them from the first on. Longer lists belong behind a
    /// hook.
    pub const COUNT_MAX: usize = 1_000;
    /// What a refused sender is told by a rule without words.
    pub const TEXT_DEFAULT: &'static str = "the operator of the destination does not allow this";

    /// These rules, in this order.
    ///
    /// # Errors
    /// [`RulesError`] names the first rule that contradicts itself.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RulesError> {
        if rules.len() > Self::COUNT_MAX {
            return Err(RulesError::Count { found: rules.len() });
        }
        for (at, rule) in rules.iter().enumerate() {
            rule.check().map_err(|fault| RulesError::Rule { number: at + 1, fault })?;
        }
        Ok(Self(rules))
    }

    /// The rules.
    #[must_use]
    pub fn as_slice(&self) -> &[Rule] {
        &self.0
    }

    /// Why a message is refused: `5.7.1` and the operator's words. None where the first rule that
    /// matches allows it, or none matches.
    #[must_use]
    pub fn failing(&self, message: &Message) -> Option<Reply> {
        let rule = self.0.iter().find(|rule| rule.matches(message))?;
        match rule.action {
            Action::Allow => None,
            Action::Deny => {
                let text = if rule.text.is_empty() { Self::TEXT_DEFAULT } else { &rule.text };
                Some(Reply::new(Code::POLICY, text))
            }
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

#[cfg(test)]
mod tests;
