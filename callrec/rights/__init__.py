"""What people may ask about their own calls, and what is answered: found, told, disclosed. The keeper's side."""
