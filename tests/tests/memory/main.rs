//! Memory from outside: what the gateway remembers of prompts and answers, in its own store and in real Weaviates, who may
//! read it, and that none of it is lost, doubled, or told with a secret in it.

mod docs;
mod faulty;
mod kit;
mod load;
mod logs;
mod meaning;
mod mirrored;
mod none;
mod original;
mod owned;
mod poison;
mod redacted;
mod slow;
mod spaces;
mod strict;
mod tenancy;
