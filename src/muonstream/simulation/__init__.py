"""A simulated telescope: muons, noise and scintillator, as the boards would send them."""
