//! Why a credential was refused.
//!
//! The code is for the operator's log; the client learns [`Refusal::detail`], which names what its sender
//! can see anyway and nothing else.

/// A reason. All of them are the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The codes below say it, a line each.
pub enum Refusal {
    CredentialMissing,
    CredentialEmpty,
    CredentialDoubled,
    CredentialMalformed,
    TokenTooLong,
    TokenSegments,
    TokenEncrypted,
    TokenEncoding,
    TokenJson,
    TokenDuplicateMember,
    AlgorithmNone,
    AlgorithmUnknown,
    AlgorithmSymmetric,
    AlgorithmNotTheKeys,
    CriticalExtension,
    UnencodedPayload,
    KeyUnnamed,
    KeyUnknown,
    SignatureInvalid,
    IssuerMissing,
    IssuerUnknown,
    AudienceMissing,
    AudienceWrong,
    ExpiryMissing,
    Expired,
    NotYetValid,
    IssuedInFuture,
    DateMalformed,
    SubjectMissing,
    SubjectUnfit,
    SubjectReserved,
}

impl Refusal {
    /// Every reason there is.
    pub const ALL: &[Self] = &[
        Self::CredentialMissing,
        Self::CredentialEmpty,
        Self::CredentialDoubled,
        Self::CredentialMalformed,
        Self::TokenTooLong,
        Self::TokenSegments,
        Self::TokenEncrypted,
        Self::TokenEncoding,
        Self::TokenJson,
        Self::TokenDuplicateMember,
        Self::AlgorithmNone,
        Self::AlgorithmUnknown,
        Self::AlgorithmSymmetric,
        Self::AlgorithmNotTheKeys,
        Self::CriticalExtension,
        Self::UnencodedPayload,
        Self::KeyUnnamed,
        Self::KeyUnknown,
        Self::SignatureInvalid,
        Self::IssuerMissing,
        Self::IssuerUnknown,
        Self::AudienceMissing,
        Self::AudienceWrong,
        Self::ExpiryMissing,
        Self::Expired,
        Self::NotYetValid,
        Self::IssuedInFuture,
        Self::DateMalformed,
        Self::SubjectMissing,
        Self::SubjectUnfit,
        Self::SubjectReserved,
    ];

    /// The code in the log and the client's explanation.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::CredentialMissing => ("credential_missing", "Missing Bearer token"),
            Self::CredentialEmpty => ("credential_empty", "Empty Bearer token"),
            Self::CredentialDoubled => ("credential_doubled", "More than one Authorization header"),
            Self::CredentialMalformed => ("credential_malformed", "Authorization is not a Bearer token"),
            Self::TokenTooLong => ("token_too_long", "Token is longer than 8192 bytes"),
            Self::TokenSegments => ("token_segments", "Token is not a JWT of three parts"),
            Self::TokenEncrypted => ("token_encrypted", "Encrypted tokens are not accepted"),
            Self::TokenEncoding => ("token_encoding", "Token is not base64url"),
            Self::TokenJson => ("token_json", "Token is not JSON"),
            Self::TokenDuplicateMember => ("token_duplicate_member", "Token has a duplicate member"),
            Self::AlgorithmNone => ("algorithm_none", "Token is not signed"),
            Self::AlgorithmUnknown => ("algorithm_unknown", "Token's algorithm is not accepted"),
            Self::AlgorithmSymmetric => ("algorithm_symmetric", "Token's algorithm is not accepted"),
            Self::AlgorithmNotTheKeys => ("algorithm_not_the_keys", "Token's algorithm is not its key's"),
            Self::CriticalExtension => {
                ("critical_extension", "Token needs an extension that is not supported")
            }
            Self::UnencodedPayload => ("unencoded_payload", "Token's payload is not encoded"),
            Self::KeyUnnamed => ("key_unnamed", "Token does not name its key"),
            Self::KeyUnknown => ("key_unknown", "Token's key is not one of its issuer's"),
            Self::SignatureInvalid => ("signature_invalid", "Token's signature is wrong"),
            Self::IssuerMissing => ("issuer_missing", "Token has no issuer"),
            Self::IssuerUnknown => ("issuer_unknown", "Token's issuer is not accepted"),
            Self::AudienceMissing => ("audience_missing", "Token has no audience"),
            Self::AudienceWrong => ("audience_wrong", "Token is not for this gateway"),
            Self::ExpiryMissing => ("expiry_missing", "Token has no expiry"),
            Self::Expired => ("expired", "Token has expired"),
            Self::NotYetValid => ("not_yet_valid", "Token is not valid yet"),
            Self::IssuedInFuture => ("issued_in_future", "Token was issued in the future"),
            Self::DateMalformed => ("date_malformed", "Token has a date that is not a number of seconds"),
            Self::SubjectMissing => ("subject_missing", "Token has no subject"),
            Self::SubjectUnfit => ("subject_unfit", "Token's subject cannot stand in a header"),
            Self::SubjectReserved => ("subject_reserved", "Token's subject begins as another source's do"),
        }
    }

    /// What the log says: one word, stable, without anything from the request.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.texts().0
    }

    /// What the client may learn.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.texts().1
    }

    /// The error code of RFC 6750 section 3.1. A request that is itself out of form is not the token's fault.
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::CredentialDoubled | Self::CredentialMalformed => "invalid_request",
            _ => "invalid_token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn every_reason_has_a_code_of_its_own_that_a_log_can_be_split_by() {
        let mut codes: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
