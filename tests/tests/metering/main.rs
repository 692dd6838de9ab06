//! What becomes of usage and limits when parts of the gateway are several, slow or dead: two Envoys on one Redis,
//! kill -9 of everything that can be killed under load, and who is told of what was used.

mod fleet;
mod kit;
mod load;
mod outage;
mod page;
mod poison;
mod restart;
mod settings;
