"""Where a small object's time goes: CPU by stage and by room."""
