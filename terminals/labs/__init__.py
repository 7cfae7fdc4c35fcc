"""Labs: the life of students' containers, from the template to the last trace."""
