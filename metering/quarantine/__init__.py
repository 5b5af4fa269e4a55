"""What people do with refused records: bring them back, correct them, give them up."""
