"""From predictions to evidence: intervals by patient, paired comparisons, calibration, decisions."""
