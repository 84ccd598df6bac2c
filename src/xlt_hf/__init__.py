"""xlt_hf: does a language model that read a fact only in English know it in Hindi?"""

__version__ = "0.1.0"
