"""The two systems that Carex replaces, read as they are: their `.env`, users, waiting lists and routes.

Nothing here knows more of them than their own README and sources say. `carex migrate` shows it and moves it over.
"""
